import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// The log as systemd's journal gets it, where standard error is connected to the journal.
extension EndToEnd {
    @Suite struct JournalTests {
        /// Starts the rig's daemon as systemd does: JOURNAL_STREAM names what standard error is.
        private static func launch(_ rig: DaemonRig) throws -> RunningProgram {
            let daemon = try RunningProgram(
                "sh",
                [
                    "-c", "JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2) exec \"$@\"", "sh",
                    ScratchWorld.programs.appending("quiesced").string, "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            return daemon
        }

        @Test func `records have fields, and standard error has none of them`() throws {
            let journal = try JournalSocket()
            let rig = try DaemonRig(hooks: ["10-fails": "exit $([ $1 = thaw ]; echo $?)"], isStarted: false)
            let daemon = try Self.launch(rig)
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            let registered = try journal.waitForRecord { $0.contains("registered with the Hyper-V host") }
            #expect(registered["PRIORITY"] == "6")
            #expect(registered["SYSLOG_IDENTIFIER"] == "quiesced")

            #expect(try rig.control("freeze").ending == .exited(1))
            let failed = try journal.waitForRecord { $0.contains("10-fails") }
            #expect(failed["PRIORITY"] == "3", "\(failed)")
            #expect(failed["MESSAGE"]?.contains(" failed: ") == true, "\(failed)")
            #expect(failed["MESSAGE_ID"] == MessageID.backupFailed.rawValue)
            #expect(failed["QUIESCE_HOOK"] == "10-fails")
            #expect(failed["QUIESCE_CHANNEL"] == "control")
            #expect(try failed["QUIESCE_REQUEST_ID"] == rig.record().id.text)

            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
            #expect(daemon.text(of: .errors) == "")
        }

        @Test func `a failure names its filesystem, and a success its level`() throws {
            let journal = try JournalSocket()
            let foreign = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(isStarted: false)
            let daemon = try Self.launch(rig)
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            try foreign.freeze()
            #expect(try rig.control("freeze").ending == .exited(1))
            let failed = try journal.waitForRecord { $0.contains(" failed: ") }
            #expect(failed["MESSAGE_ID"] == MessageID.backupFailed.rawValue)
            #expect(failed["QUIESCE_FILESYSTEM"] == foreign.mountPoint.string)
            try foreign.thaw()
            #expect(try rig.control("freeze").ending == .exited(0))
            #expect(try rig.control("thaw").ending == .exited(0))
            let succeeded = try journal.waitForRecord { $0.contains(" succeeded: ") }
            #expect(succeeded["MESSAGE_ID"] == MessageID.backupSucceeded.rawValue)
            #expect(succeeded["QUIESCE_LEVEL"] == "filesystem")
            // No alert and no age of the last backup follows from a rehearsal.
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            let rehearsed = try journal.waitForRecord { $0.contains("(rehearsal; ") }
            #expect(rehearsed["MESSAGE_ID"] == nil, "\(rehearsed)")
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
            try foreign.remove()
        }

        @Test func `where the journal's socket is missing, lines tell the priority`() throws {
            let rig = try DaemonRig(isStarted: false)
            let daemon = try Self.launch(rig)
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            try daemon.waitForLine { $0.hasPrefix("<6>") && $0.contains("registered with the Hyper-V host") }
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
        }

        /// The journal waits for a frozen filesystem, as it does when its own files are on one: its socket fills up.
        @Test func `P7 P9 a journal that does not read holds up nothing`() throws {
            let journal = try JournalSocket()
            let rig = try DaemonRig(isStarted: false)
            let daemon = try Self.launch(rig)
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            // A log line each: more than a socket holds (/proc/sys/net/unix/max_dgram_qlen).
            let limit = try String(contentsOfFile: "/proc/sys/net/unix/max_dgram_qlen", encoding: .utf8)
            for _ in 0..<(Int(limit.dropLast()) ?? 10) + 10 {
                _ = try rig.host.perform(HyperVOperation(rawValue: 99), timeout: .seconds(5))
            }
            for _ in 0..<2 { try rig.expectHealthy(freezing: []) }
            // Not a line is lost once it reads again.
            let summary = try journal.waitForRecord { $0.contains(" succeeded: ") }
            #expect(summary["PRIORITY"] == "6")
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit(within: .seconds(20)) == .exited(0))
        }
    }
}
