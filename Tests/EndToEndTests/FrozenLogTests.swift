import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A log that lies on a frozen filesystem: what agents before this one hung on (microsoft/backupessentials #1).
extension EndToEnd {
    @Suite struct FrozenLogTests {
        @Test func `P7 with the log on a frozen filesystem the window is not blocked, and no line is lost`() throws
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
            try wait(for: "the summary") { try logged().contains("succeeded: 1 filesystems frozen") }
            #expect(try rig.record().result == .succeeded)

            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
            try RunningProgram.output(of: "rm", [log.string])
        }
    }
}
