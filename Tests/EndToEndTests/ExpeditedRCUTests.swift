import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// The kernel hurries with grace periods while filesystems are being frozen, and never longer. The setting is a file of
/// the test's own, in the place of the kernel's: that is the whole machine's.
extension EndToEnd {
    @Suite struct ExpeditedRCUTests {
        private static let setting = "/sys/kernel/rcu_expedited"
        private let filesystem: ScratchFilesystem

        init() throws {
            filesystem = try ScratchFilesystem(.ext4)
            try RunningProgram.output(
                of: "sh",
                ["-c", "echo 0 > /run/setting; mount --bind /run/setting \(Self.setting); cat \(Self.setting)"])
        }

        private func end() throws {
            try RunningProgram.output(of: "umount", [Self.setting])
            try filesystem.remove()
        }

        private func value() throws -> String {
            try String(contentsOfFile: Self.setting, encoding: .utf8).trimmingCharacters(in: .newlines)
        }

        /// A request whose freezer stands still before its FIFREEZE.
        private func stoppedFreeze(_ lines: String = "") throws -> (
            DaemonRig, PendingAnswer<HyperVHostAnswer>, freezer: pid_t
        ) {
            let rig = try rig(lines, hasStopPoints: true)
            try rig.arm("before FIFREEZE 1")
            let answer = PendingAnswer(.freeze, of: rig.host)
            let freezer = try rig.freezerProcess()
            try wait(for: "the freezer to stand still") { try ProcessRecord.read(freezer)?.state == "T" }
            return (rig, answer, freezer)
        }

        private func rig(_ lines: String = "", hasStopPoints: Bool = false) throws -> DaemonRig {
            try DaemonRig(
                configuration: [
                    "filesystems": "include = [\"\(filesystem.mountPoint)\"]",
                    "freeze": lines,
                ], hasStopPoints: hasStopPoints)
        }

        @Test func `it is on while FIFREEZE runs, and off before the answer`() throws {
            let (rig, answer, freezer) = try stoppedFreeze()
            #expect(try value() == "1")
            kill(freezer, SIGCONT)
            #expect(try answer.value().status == .success, "\(rig.log)")
            #expect(try value() == "0")
            #expect(try rig.thaw().status == .success)
            #expect(try rig.stop() == .exited(0))
            try end()
        }

        @Test func `P1 it is off after both have died, and the guard has come`() throws {
            let (rig, answer, _) = try stoppedFreeze()
            try rig.killBoth()
            #expect(try value() == "1")
            #expect(try rig.control("recover").ending == .exited(0))
            #expect(try value() == "0")
            rig.host.close()
            _ = try? answer.value()
            try end()
        }

        @Test func `what an admin has turned on stays on, also after both have died`() throws {
            try RunningProgram.output(of: "sh", ["-c", "echo 1 > \(Self.setting)"])
            let (rig, answer, _) = try stoppedFreeze()
            try rig.killBoth()
            #expect(try rig.control("recover").ending == .exited(0))
            #expect(try value() == "1")
            rig.host.close()
            _ = try? answer.value()
            try end()
        }

        @Test func `it is off when a freeze fails, and stays off if the configuration says so`() throws {
            let (rig, answer, freezer) = try stoppedFreeze("expedited_rcu = false")
            #expect(try value() == "0")
            kill(freezer, SIGCONT)
            #expect(try answer.value().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            #expect(try rig.stop() == .exited(0))
            // Somebody else has frozen it: EBUSY.
            let other = try self.rig()
            try RunningProgram.output(of: "fsfreeze", ["-f", filesystem.mountPoint.string])
            #expect(try other.freeze().status != .success)
            try RunningProgram.output(of: "fsfreeze", ["-u", filesystem.mountPoint.string])
            #expect(try value() == "0")
            #expect(try other.stop() == .exited(0))
            try end()
        }
    }
}
