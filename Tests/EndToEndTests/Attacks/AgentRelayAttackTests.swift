import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// A program in place of the qemu-ga behind quiesced that breaks every rule: no freeze is delayed beyond the limit of a
/// command, and no client receives a wrong reply.
extension EndToEnd {
    @Suite struct AgentRelayAttackTests {
        private struct Behaviour: Sendable {
            let name: String
            /// True if the client receives the reply `1`, false if an error.
            var isServed = false
            let serve: @Sendable (FakeQemuAgent.Request, FakeQemuAgent.Connection) throws -> Void
        }

        private static let behaviours = [
            Behaviour(name: "two replies", isServed: true) { try $1.send($0.reply("1") + $0.reply("2")) },
            Behaviour(name: "replies to other requests", isServed: true) { request, connection in
                let other = ["\"quiesce-99\"", "1", "null", "{\"id\": \"\(request.tag)\"}"]
                    .map { "{\"return\": 3, \"id\": \($0)}\n" }.joined()
                try connection.send(other + "{\"return\": 3}\n{}\n\n[]\n" + request.reply("1"))
            },
            Behaviour(name: "a closed connection") { $1.end() },
            Behaviour(name: "half a reply") { request, connection in
                try connection.send(String(request.reply("1").dropLast(3)))
                connection.end()
            },
            Behaviour(name: "garbage") { _, connection in
                let garbage = (0..<65_536).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }
                while true { try connection.client.send(bytes: garbage) }
            },
            Behaviour(name: "a flood of replies") { request, connection in
                let flood = String(repeating: "{\"return\": 3, \"id\": \"quiesce-99\"}\n", count: 1000)
                while true { try connection.send(flood) }
            },
            Behaviour(name: "a line without an end") { _, connection in
                let flood = String(repeating: "x", count: 1 << 18)
                while true { try connection.send(flood) }
            },
        ]

        @Test func `P9 a freeze behind a command is on time, whatever qemu-ga replies to the command`() throws {
            let rig = try DaemonRig(agentPort: .kept)
            let port = try rig.agent
            for behaviour in Self.behaviours {
                ThawWatchdog.current?.restart()
                let agent = try FakeQemuAgent(behaviour.serve)
                _ = port.takeOtherLines()
                let (command, freeze) = (port.request("guest-get-osinfo"), port.request("guest-fsfreeze-freeze"))
                let asked = Moment.now
                try port.send(command.bytes + freeze.bytes)
                let reply = try port.reply(to: command.id)
                #expect(
                    behaviour.isServed ? reply == .number(1) : reply.errorClass == "GenericError",
                    "\(behaviour.name): \(reply)")
                #expect(try port.reply(to: freeze.id) == .number(1), "\(behaviour.name)")
                let took = Moment.now - asked
                print("MEASURED: \(Int(took.milliseconds)) ms to a freeze behind a command; \(behaviour.name)")
                // Before the limit of the command.
                #expect(took < .seconds(8), "\(behaviour.name)")
                #expect(try FreezeProof.isFrozen("/"))
                #expect(try port.thaw() == .success(filesystems: 1), "\(behaviour.name)")
                #expect(port.takeOtherLines() == [], "\(behaviour.name)")
                agent.close()
                try rig.waitUntilReleased()
            }
            // The next qemu-ga is served.
            let agent = try FakeQemuAgent()
            #expect(try port.ask("guest-get-osinfo") == .number(1))
            agent.close()
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `P9 a command without a reply delays a freeze until its limit, and the late reply is dropped`()
            throws
        {
            let late = Monitor<[(FakeQemuAgent.Request, FakeQemuAgent.Connection)]>([])
            let agent = try FakeQemuAgent { request, connection in
                guard request.command == "guest-get-osinfo" else { return try connection.send(request.reply("2")) }
                late.update { $0.append((request, connection)) }
            }
            let rig = try DaemonRig(agentPort: .kept)
            let port = try rig.agent
            _ = port.takeOtherLines()
            let (command, freeze) = (port.request("guest-get-osinfo"), port.request("guest-fsfreeze-freeze"))
            let asked = Moment.now
            try port.send(command.bytes + freeze.bytes)
            #expect(try port.reply(to: command.id).errorClass == "GenericError")
            #expect(try port.reply(to: freeze.id) == .number(1))
            let took = Moment.now - asked
            print("MEASURED: \(Int(took.milliseconds)) ms to a freeze behind a command that hangs")
            #expect(took >= .seconds(8) && took < .seconds(12))
            // In the window.
            let (request, connection) = try #require(late.update(\.first))
            try connection.send(request.reply("1"))
            #expect(try port.ask("guest-fsfreeze-status") == .text("frozen"))
            #expect(try port.thaw() == .success(filesystems: 1))
            try rig.waitUntilReleased()
            #expect(try port.ask("guest-get-time") == .number(2))
            #expect(port.takeOtherLines() == [])
            #expect(agent.connections.count == 1)
            agent.close()
            #expect(try rig.stop() == .exited(0))
        }
    }
}
