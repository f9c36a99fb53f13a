import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Attacks by a client of the guest agent port: the window ends in time, other channels are served, and memory is bounded.
extension EndToEnd {
    @Suite struct AgentPortAttackTests {
        private static func rig(window: Duration = .seconds(40)) throws -> (DaemonRig, AgentHost) {
            let rig = try DaemonRig(
                configuration: [
                    "freeze": "timeout = \"2s\"\nmax_window = \"\(window.components.seconds)s\""
                ],
                hooks: [
                    "10-waits":
                        "[ $1 = thaw ] || [ ! -e $TRACE.wait ] || \(DaemonRig.waiting(forGate: "hook"))"
                ],
                agentPort: .kept)
            try rig.waitForSocket()
            // Allocates memory that stays.
            try rig.expectHealthy(freezing: [])
            return (rig, try rig.agent)
        }

        private static func repeated(_ text: String, _ count: Int) -> [UInt8] {
            Array(String(repeating: text, count: count).utf8)
        }

        private static let floods: [(name: String, bytes: [UInt8])] = [
            ("garbage", (0..<100_000).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }),
            ("0xFF", Array(repeating: 0xFF, count: 10_000)),
            ("half requests", repeated("{\"execute\":\"guest-fsfreeze-thaw\"\n", 10_000)),
            ("a word of megabytes", repeated("x", 24 << 20)),
            ("a string of megabytes", repeated("{\"execute\":\"guest-fsfreeze-thaw", 1) + repeated("x", 3 << 20)),
            ("nested lists", repeated("[", 1 << 20)),
            ("nested objects", repeated("{\"a\":", 200_000)),
            ("a list of numbers", repeated("[", 1) + repeated("1,", 1 << 19)),
            (
                "long ids",
                repeated(
                    "{\"execute\":\"guest-ping\",\"id\":\"" + String(repeating: "x", count: 900_000) + "\"}", 2)
            ),
            ("pings", repeated("{\"execute\":\"guest-ping\"}", 20_000)),
            ("braces", repeated("}", 10_000)),
        ]

        @Test func `P1 P9 a flood in the window ends neither the window nor the service of other channels`() throws
        {
            let (rig, port) = try Self.rig()
            let poll = try StatusPoll(rig)
            let daemon = rig.daemon.processIdentifier
            let peak = try ProcessStatus.number("VmHWM", of: daemon)
            for (name, bytes) in Self.floods {
                ThawWatchdog.current?.restart()
                #expect(try port.freeze() == .success(filesystems: 1))
                let begun = Moment.now
                #expect(try port.send(bytes) == bytes.count, "\(name)")
                #expect(try rig.host.perform(HyperVOperation(rawValue: 77)).status == .success)
                try port.synchronize()
                let took = Moment.now - begun
                let growth = try ProcessStatus.number("VmHWM", of: daemon) - peak
                print(
                    "MEASURED: \(Int(took.milliseconds)) ms for a flood of \(name), \(growth) KiB more at the peak"
                )
                #expect(growth < 20 * 1024, "\(name)")
                #expect(try FreezeProof.isFrozen("/"), "\(name)")
                #expect(try port.thaw() == .success(filesystems: 1), "\(name)")
                _ = port.takeOtherLines()
                try rig.waitUntilReleased()
            }
            _ = poll.expectAlwaysAnswered("during floods at the guest agent port")
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
        }

        /// Sends requests until the daemon reads no more.
        private func fill(_ port: AgentHost) throws {
            port.setReading(false)
            let requests = Self.repeated("{\"execute\":\"guest-info\"}", 10_000)
            #expect(try port.send(requests, within: .seconds(1)) < requests.count)
        }

        @Test func `P1 P3 P9 a client that reads no reply prolongs no window, and delays no other channel`() throws
        {
            let window = Duration.seconds(6)
            let (rig, port) = try Self.rig(window: window)
            let daemon = rig.daemon.processIdentifier
            #expect(try port.freeze() == .success(filesystems: 1))
            let memory = try ProcessStatus.number("VmRSS", of: daemon)
            let poll = try StatusPoll(rig)
            try fill(port)
            #expect(try rig.host.perform(HyperVOperation(rawValue: 77)).status == .success)
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            let record = try rig.record(number: 2, within: .seconds(15))
            #expect(record.isLost)
            let length = try #require(record.window)
            #expect(length >= window && length < window + .seconds(1))
            #expect(try !FreezeProof.isFrozen("/"))
            // Another host is served while the port is full.
            try rig.expectHealthy(freezing: [])
            _ = poll.expectAlwaysAnswered("while the client of the port reads nothing")
            let growth = try ProcessStatus.number("VmRSS", of: daemon) - memory
            print("MEASURED: \(growth) KiB more resident while the client of the port reads nothing")
            #expect(growth < 24 * 1024)
            port.setReading(true)
            try port.synchronize(within: .seconds(40))
            #expect(try port.thaw().isFailure)
            #expect(try port.thaw() == .success(filesystems: 0))

            try fill(port)
            let asked = Moment.now
            #expect(try rig.stop() == .exited(0))
            #expect(Moment.now - asked < .seconds(5))
        }

        /// A line without its end would spoil the client's next reply.
        @Test func `P1 P3 the next daemon closes a port with half a reply, and the loss is not forgotten`() throws
        {
            let (rig, port) = try Self.rig()
            #expect(try port.freeze() == .success(filesystems: 1))
            let ledger = try CrashScene.ledger(rig)
            try fill(port)
            let cut = port.request("guest-ping")
            let file = rig.runDirectory.appending("unanswered")
            try wait(for: "half a reply") { try readWholeFile(file).starts(with: Array("cut\n".utf8)) }
            rig.daemon.send(SIGKILL)
            try rig.daemon.waitForExit()
            try CrashScene.waitForThaw(of: ledger, since: .now, within: .seconds(10))
            #expect(try !FreezeProof.isFrozen("/"))
            port.setReading(true)
            try rig.launch()
            #expect(try port.reply(to: cut.id) == .lost)
            let lost = Moment.now
            try port.synchronize()
            // QEMU reports at most one change a second to libvirt.
            #expect(Moment.now - lost > .milliseconds(900))
            #expect(try port.thaw().isFailure)
            #expect(try port.thaw() == .success(filesystems: 0))
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(15)))
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `P9 requests behind a freeze wait in the port, and all are served in order`() throws {
            let (rig, port) = try Self.rig()
            let daemon = rig.daemon.processIdentifier
            let memory = try ProcessStatus.number("VmHWM", of: daemon)
            try rig.open(gate: "wait")
            let freeze = port.request("guest-fsfreeze-freeze")
            try port.send(freeze.bytes)
            try rig.waitUntil(.freezeHooks)
            let poll = try StatusPoll(rig)
            let requests = (0..<5000).map { _ in port.request("guest-fsfreeze-status") }
            let long = Self.repeated(
                "{\"execute\":\"guest-ping\",\"id\":\"" + String(repeating: "x", count: 900_000) + "\"}", 2)
            let bytes = long + requests.flatMap(\.bytes)
            let sender = PendingAnswer { [port] in try port.send(bytes) }
            // The daemon has read the long requests, and has written the requests without a reply to the file.
            let file = rig.runDirectory.appending("unanswered")
            try wait(for: "the long requests") {
                try FileManager.default.attributesOfItem(atPath: file.string)[.size] as? Int ?? 0 > 1_800_000
            }
            // The daemon does not read the rest.
            #expect(throws: DaemonRig.Failure.self) { try sender.value(within: .milliseconds(500)) }
            let lines = try Data(contentsOf: URL(fileURLWithPath: file.string)).count { $0 == UInt8(ascii: "\n") }
            #expect(lines < 200)
            _ = poll.expectAlwaysAnswered("with requests behind a freeze")
            let growth = try ProcessStatus.number("VmHWM", of: daemon) - memory
            print("MEASURED: \(growth) KiB more at the peak with requests behind a freeze")
            #expect(growth < 32 * 1024)
            try rig.open(gate: "hook")
            #expect(try port.reply(to: freeze.id) == .number(1))
            for request in requests { #expect(try port.reply(to: request.id) == .text("frozen")) }
            #expect(try sender.value() == bytes.count)
            #expect(try port.thaw() == .success(filesystems: 1))
            #expect(port.takeOtherLines().count == 3)
            let ids = port.repliedIDs
            #expect(ids == ids.sorted())
            #expect(try rig.stop() == .exited(0))
        }
    }
}
