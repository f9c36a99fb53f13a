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
