import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A log that cannot be written: frozen, as agents before this one hung on (microsoft/backupessentials #1), full, gone.
extension EndToEnd {
    @Suite struct LogFaultTests {
        @Test
        func
            `complaint 4, P7: with the log on a frozen filesystem the window is not blocked, and no line is lost`()
            throws
        {
            let rig = try DaemonRig(isStarted: false)
            let log: FilePath = "/var/log/quiesced-frozen.log"
            let daemon = try RunningProgram(
                "sh",
                [
                    "-c", "exec \"$@\" 2> \(log)", "sh", ScratchWorld.programs.appending("quiesced").string,
                    "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            func logged() throws -> String { try String(contentsOfFile: log.string, encoding: .utf8) }

            #expect(try rig.freeze().status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            let before = try logged()
            // Each of these is a log line, and each is answered although none can be written.
            let codes: [UInt8] = Array(20..<60)
            for code in codes {
                let answer = try rig.host.perform(HyperVOperation(rawValue: code), timeout: .seconds(5))
                #expect(answer.status == .success)
            }
            // Held back in memory, not tried: no thread waits for the frozen filesystem.
            #expect(try KernelWaits.uninterruptible(daemon.processIdentifier).isEmpty)
            #expect(try logged() == before)
            #expect(try FreezeProof.isFrozen("/"))

            let thaw = try rig.thaw()
            #expect(thaw.status == .success)
            #expect(thaw.duration < .seconds(5))
            try wait(for: "the lines of the window") { try logged().contains("unknown operation 59;") }
            let lines = try logged()
            for code in codes { #expect(lines.contains("unknown operation \(code);"), "\(code)") }
            try wait(for: "the summary") { try logged().contains("succeeded: 1 filesystem frozen") }
            #expect(try rig.record().result == .succeeded)

            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
            try RunningProgram.output(of: "rm", [log.string])
        }

        /// A FIFO in place of standard error.
        private static func launch(_ rig: DaemonRig, loggingTo fifo: FilePath) throws -> RunningProgram {
            let daemon = try RunningProgram(
                "sh",
                [
                    "-c", "exec \"$@\" 2> \(fifo)", "sh", ScratchWorld.programs.appending("quiesced").string,
                    "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            return daemon
        }

        @Test func `P9 a log that nobody reads holds up nothing`() throws {
            let rig = try DaemonRig(isStarted: false)
            let fifo: FilePath = "/tmp/unread-log"
            try RunningProgram.output(of: "mkfifo", [fifo.string])
            let reader = try FileDescriptor.open(fifo, .readWrite, options: [.closeOnExec, .nonBlocking])
            defer { try? reader.close() }
            // Full before the daemon's first line.
            #expect(throws: Errno.wouldBlock) {
                let blanks = [UInt8](repeating: 0x0A, count: 512)
                while true { _ = try blanks.withUnsafeBytes { try reader.write($0) } }
            }
            let daemon = try Self.launch(rig, loggingTo: fifo)
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            for _ in 0..<3 { try rig.expectHealthy(freezing: []) }
            daemon.send(SIGTERM)
            // It waits for its last lines to be read, and not for ever.
            #expect(try daemon.waitForExit(within: .seconds(20)) == .exited(0))
            try RunningProgram.output(of: "rm", [fifo.string])
        }

        @Test func `a log whose reader has gone holds up nothing`() throws {
            let rig = try DaemonRig(
                hooks: ["10-hook": "grep SigIgn /proc/self/status >> $TRACE"], isStarted: false)
            let fifo: FilePath = "/tmp/broken-log"
            try RunningProgram.output(of: "mkfifo", [fifo.string])
            let reader = try RunningProgram("head", ["-n", "1", fifo.string])
            let daemon = try Self.launch(rig, loggingTo: fifo)
            #expect(try reader.waitForExit() == .exited(0))
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            for _ in 0..<3 { try rig.expectHealthy(freezing: []) }
            // What the daemon ignores for that, its hooks do not.
            #expect(try rig.traced().count >= 5)
            for line in try Set(rig.traced()) {
                let ignored = UInt64(line.split(separator: "\t").last ?? "", radix: 16)
                for signal in [SIGPIPE, SIGUSR1, SIGUSR2] {
                    #expect(try #require(ignored) & (1 << (signal - 1)) == 0, "\(signal): \(line)")
                }
            }
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit(within: .seconds(20)) == .exited(0))
            try RunningProgram.output(of: "rm", [fifo.string])
        }
    }
}
