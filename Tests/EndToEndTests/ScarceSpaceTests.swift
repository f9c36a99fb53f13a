import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// No room to write where the daemon writes: that must cost no more than what was to be written.
extension EndToEnd {
    @Suite struct ScarceSpaceTests {
        @Test func `a history that cannot be written costs no backup, and is said`() throws {
            let state = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(
                configuration: ["paths": "state = \"\(state.mountPoint)/state\""], isStarted: false)
            try RunningProgram.output(of: "mount", ["-o", "remount,ro", state.mountPoint.string])
            try rig.start()
            try rig.expectHealthy(freezing: [])
            try rig.daemon.waitForLine {
                $0.contains("error") && $0.contains("\(state.mountPoint)/state") && $0.contains("Read-only")
            }
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
            try state.remove()
        }

        @Test func `P1 with the run directory full the next start thaws what a crash left`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let small = "/run/scarce"
            try RunningProgram.output(of: "mkdir", ["-p", small])
            try RunningProgram.output(of: "mount", ["-t", "tmpfs", "-o", "size=256k,mode=755", "none", small])
            let rig = try DaemonRig(
                configuration: [
                    "paths": "run = \"\(small)/run\"", "filesystems": "include = [\"\(filesystem.mountPoint)\"]",
                ])
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            #expect(try filesystem.isFrozen())
            // A lock file without a page of its own.
            try RunningProgram.output(of: "rm", ["\(small)/run/lock"])
            #expect(
                try RunningProgram.run("dd", ["if=/dev/zero", "of=\(small)/filling", "bs=4k"]).ending == .exited(1)
            )
            try rig.start()
            #expect(try !filesystem.isFrozen())
            try RunningProgram.output(of: "rm", ["\(small)/filling"])
            #expect(try rig.thaw().status == .failure)
            #expect(try rig.freeze().status == .success)
            #expect(try filesystem.isFrozen())
            #expect(try rig.thaw().status == .success)
            #expect(try rig.stop() == .exited(0))
            try RunningProgram.output(of: "umount", [small])
            try filesystem.remove()
        }

        @Test func `P2 with the run directory full a FREEZE fails and says so`() throws {
            let small = "/run/small"
            try RunningProgram.output(of: "mkdir", ["-p", small])
            try RunningProgram.output(of: "mount", ["-t", "tmpfs", "-o", "size=256k,mode=755", "none", small])
            let rig = try DaemonRig(configuration: ["paths": "run = \"\(small)/run\""])
            let (ending, _, _) = try RunningProgram.run(
                "dd", ["if=/dev/zero", "of=\(small)/filling", "bs=4k", "status=none"])
            #expect(ending == .exited(1))
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.window == nil)
            let reason = try #require(record.reason)
            #expect(reason.contains("\(small)/run/ledger") && reason.contains("No space left"), "\(reason)")
            try Self.expectCheck(of: rig, toSay: "No ledger can be made in \(small)/run: No space left on device.")
            try RunningProgram.output(of: "rm", ["\(small)/filling"])
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
            try RunningProgram.output(of: "umount", [small])
        }

        private static func expectCheck(of rig: DaemonRig, toSay words: String) throws {
            let (_, output, errors) = try rig.control("check", "--json")
            #expect(output.contains(words), "\(output) \(errors)")
        }
    }
}
