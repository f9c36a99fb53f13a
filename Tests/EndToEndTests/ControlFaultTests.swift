import Foundation
import SystemPackage
import Testing

/// `quiescectl` with a daemon that hangs, ends, or says what no daemon should.
extension EndToEnd {
    @Suite struct ControlFaultTests {
        /// The subscription stands.
        private static let subscribed = #"{"parameters":{"event":null},"continues":true}"#
        private static let escape = "\u{1B}"

        private func daemon(
            _ replies: [String: [String]], until lastMethod: String? = nil
        ) throws -> (rig: DaemonRig, daemon: ScriptedDaemon) {
            let rig = try DaemonRig(isStarted: false)
            return (rig, try ScriptedDaemon(of: rig, replies, until: lastMethod))
        }

        private func status(_ members: String = "") -> String {
            #"{"parameters":{"version":"1","pid":1,"started":"2026-11-21T10:00:00.000Z","dry_run":false,"#
                + #""state":"idle","since":"2026-11-21T10:00:00.000Z","freezer_ready":true,"#
                + (members.isEmpty ? #""since_ms":1,"stuck":[],"lost":[],"channels":[]"# : members) + "}}"
        }

        @Test func `a daemon that does not answer is not waited for`() throws {
            let (rig, _) = try daemon([:])
            let programs = try ["status", "freeze", "thaw"].map { try rig.controlling($0) }
            for program in programs {
                #expect(try program.waitForExit(within: .seconds(30)) == .exited(3))
                #expect(program.text(of: .errors).contains("quiesced does not answer within 10.00 s"))
            }
        }

        @Test func `Ctrl-C again does not wait for a daemon that hangs`() throws {
            let (rig, _) = try daemon(["Monitor": [Self.subscribed]])
            let program = try rig.controlling("freeze")
            try wait(for: "the signal's handler") {
                let text = try String(
                    contentsOfFile: "/proc/\(program.processIdentifier)/status", encoding: .utf8)
                let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("SigCgt:") })
                let mask = try #require(UInt64(line.dropFirst("SigCgt:\t".count), radix: 16))
                return mask & 1 << UInt64(SIGINT - 1) != 0
            }
            // Signals that come together are one: some more may be needed than two.
            try wait(for: "its end") {
                program.send(SIGINT)
                return (try? program.waitForExit(within: .milliseconds(50))) != nil
            }
            #expect(try program.waitForExit() == .exited(1))
            #expect(program.text(of: .errors).contains("quiesced: has not confirmed the cancellation"))
        }

        @Test(arguments: [false, true])
        func `P3 a thaw whose end was not told is no success`(isForced: Bool) throws {
            let thawed = #"{"parameters":{"request":"r1","dry_run":false}}"#
            let (rig, _) = try daemon(["Monitor": [Self.subscribed], "Thaw": [thawed]], until: "Thaw")
            let program = try isForced ? rig.controlling("thaw", "--force") : rig.controlling("thaw")
            #expect(try program.waitForExit() == .exited(isForced ? 5 : 1))
            #expect(program.text(of: .output).isEmpty)
            #expect(program.text(of: .errors).contains("request r1: quiesced ended before it reported"))
        }

        @Test func `a request that never began has nothing to show`() throws {
            let refused =
                #"{"error":"org.quiesce.Control1.Failed","parameters":{"request":"r9","reason":"too late"}}"#
            let (rig, _) = try daemon([
                "Monitor": [Self.subscribed], "Freeze": [refused], "Status": [status()],
            ])
            let freeze = try rig.control("freeze")
            #expect(freeze.ending == .exited(1))
            #expect(freeze.errors.contains("too late") && !freeze.errors.contains("quiescectl show"))
        }

        @Test func `whatever the daemon says is shown escaped, and no number is too large`() throws {
            let event =
                #"{"parameters":{"event":{"time":"2026-11-21T10:00:00.000Z","kind":"failed","#
                + #""problem":"a\u001b[2J"}},"continues":true}"#
            let refused =
                #"{"error":"org.quiesce.Control1.Busy","parameters":{"reason":"b\u001b[2J"}}"#
            let odd =
                #""since_ms":1e300,"stuck":["/c\u001b[2J"],"lost":[{"channel":"hyperv","reason":"d\u001b[2J"}],"#
                + #""channels":[{"name":"e\u001b[2J","state":"f\u001b[2J"}]"#
            let (rig, _) = try daemon([
                "Monitor": [Self.subscribed, event], "Freeze": [refused], "Status": [status(odd)],
            ])
            let status = try rig.control("status")
            #expect(status.ending == .exited(0), "\(status.errors)")
            let freeze = try rig.control("freeze")
            #expect(freeze.ending == .exited(4), "\(freeze.errors)")
            let text = status.output + freeze.errors
            #expect(!text.contains(Self.escape))
            for name in ["/c", "d", "e", "f", "b"] { #expect(text.contains("\(name)\\033[2J"), "\(text)") }
        }
    }
}
