import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

/// What makes the freezer's process fit to stand guard.
extension EndToEnd {
    @Suite struct FreezerProcessTests {
        @Test func `it is locked in memory, whatever it was given`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            let idle = (locked: try rig.status("VmLck"), resident: try rig.status("VmRSS"))
            try rig.prepare(Array(repeating: (filesystem.descriptor, 0), count: 300))
            let busy = (locked: try rig.status("VmLck"), resident: try rig.status("VmRSS"))
            print("MEASURED: locked and resident KiB, idle \(idle), with 300 superblocks \(busy)")
            #expect(idle.locked > 0 && busy.locked > idle.locked)
            #expect(try rig.status("VmSwap") == 0)
        }

        @Test func `what it was given is given back at once`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            let process = rig.process.identity.processID
            let before = try ProcessStatus.descriptors(of: process)
            for _ in 0..<3 {
                // More than one packet holds; nothing of it is ever frozen.
                try rig.prepare(Array(repeating: (filesystem.descriptor, 0), count: 300))
                #expect(try ProcessStatus.descriptors(of: process) == before + 300)
                try rig.send(.release)
                try rig.wait(for: .released)
                #expect(try ProcessStatus.descriptors(of: process) == before)
            }
            try filesystem.remove()
        }

        @Test func `it keeps no privilege but the one to freeze, and no way to a file, a process or the network`()
            throws
        {
            let rig = try FreezerRig()
            let process = rig.process.identity.processID
            let status = try String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
            func value(_ field: String) -> UInt64? {
                let line = status.split(separator: "\n").first { $0.hasPrefix("\(field):") }
                return line?.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) }
            }
            // CAP_SYS_ADMIN is 21. Whoever cannot lift the limit of locked memory (CAP_SYS_RESOURCE, 24) keeps
            // CAP_IPC_LOCK, 14.
            let own = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
            let ownLine = own.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
            let mine = try #require(
                ownLine?.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) })
            let canLiftLimit = mine & 1 << 24 != 0
            let expected: UInt64 = 1 << 21 | (canLiftLimit ? 0 : 1 << 14)
            #expect(value("CapEff") == expected)
            #expect(value("CapPrm") == expected)
            #expect(value("CapInh") == 0)
            #expect(value("CapAmb") == 0)
            #expect(value("CapBnd") == 0)
            #expect(value("NoNewPrivs") == 1)
            #expect(value("Seccomp") == 2, "a filter")
        }

        @Test func `it sleeps until something happens`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            let process = rig.process.identity.processID
            try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(step: 0)
            #expect(try filesystem.isFrozen())
            let frozen = try ProcessStatus.wakeUps(of: process)
            #expect(!rig.process.waitForEnd(atMost: .seconds(1)))
            let later = try ProcessStatus.wakeUps(of: process)
            #expect(later == frozen)
            try rig.send(.thaw)
            try rig.wait(for: .thawFinished)
            try rig.send(.release)
            try rig.wait(for: .released)
            // The superblock's own thread is gone with its counter.
            #expect(try ProcessStatus.waitForThreads(1, of: process))
            let idle = try ProcessStatus.wakeUps(of: process)
            #expect(!rig.process.waitForEnd(atMost: .seconds(1)))
            #expect(try ProcessStatus.wakeUps(of: process) == idle)
        }

        @Test func `a crash of it leaves no core dump that holds its socket`() throws {
            // The kernel gives the files in /proc of a process that must not be dumped to root (proc_pid(5)).
            let launcher = [
                "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps",
                "+ipc_lock,+sys_admin", "--ambient-caps", "+ipc_lock,+sys_admin",
            ]
            let other = try RunningProgram(
                FilePath(launcher[0]), launcher.dropFirst() + ["sh", "-c", "echo ready; read line"])
            try other.waitForLine(in: .output) { $0 == "ready" }
            let rig = try FreezerRig(launcher: launcher)
            func owner(_ process: pid_t) throws -> String {
                try RunningProgram.output(of: "stat", ["--format=%u", "/proc/\(process)/environ"])
            }
            #expect(try owner(other.processIdentifier) == "65534", "else this test cannot tell")
            #expect(try owner(rig.process.identity.processID) == "0")
        }

        @Test(arguments: [SIGSEGV, SIGABRT])
        func `a crash ends it at once`(signal: CInt) throws {
            let rig = try FreezerRig()
            try rig.process.send(signal: signal)
            let (status, after) = try rig.waitForExit()
            // Without the bit for a core dump.
            #expect(status == signal)
            #expect(after < .seconds(2))
        }

        @Test func `started by hand it explains itself`() throws {
            let (ending, _, errors) = try RunningProgram.run(ScratchWorld.programs.appending("quiesce-freezer"))
            #expect(ending == .exited(2))
            #expect(errors.contains("started by quiesced and not by hand"))
        }

        @Test func `nonsense is refused, and the next request works`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try FreezerRig()
            let process = rig.process.identity.processID
            let before = try ProcessStatus.descriptors(of: process)
            try rig.send(packet: [1, 2, 3], [filesystem.descriptor])
            try rig.send(.freeze(step: 0, freezeDeadline: .now, windowDeadline: .now))
            try rig.send(.thaw)
            try rig.send(.descriptors(firstIndex: 0), [filesystem.descriptor])
            try rig.wait(for: .prepareFailed(.invalidArgument))
            // Not a ledger; and more than the one.
            try rig.send(.prepare(.none, superblockCount: 1), [filesystem.descriptor])
            try rig.wait(for: .prepareFailed(.invalidArgument))
            try rig.send(.prepare(.none, superblockCount: 1), [filesystem.descriptor, filesystem.descriptor])
            try rig.wait(for: .prepareFailed(.invalidArgument))
            try rig.send(.release)
            try rig.wait(for: .released)
            #expect(try ProcessStatus.descriptors(of: process) == before)

            try rig.prepare([(filesystem.descriptor, 0)])
            try rig.freeze(step: 0)
            #expect(try filesystem.isFrozen())
            try rig.send(.thaw)
            #expect(try rig.waitForThaw(of: 0).error == nil)
            try filesystem.remove()
        }
    }
}
