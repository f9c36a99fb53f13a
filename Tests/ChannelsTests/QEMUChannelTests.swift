import Foundation
import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage
import Testing

@testable import Channels

/// The guest agent channel over a pair of local sockets instead of the port. As with the port, read(2) without a client
/// returns 0, and poll(2) reports POLLHUP.
@Suite struct QEMUChannelTests {
    /// A channel with an open port, and the client on the host.
    private final class Scene {
        let directory: TemporaryDirectory
        let client: FileDescriptor
        let coordinator: ScriptedCoordinator
        let channel: QEMUChannel

        init(
            unanswered: String = "", adapt: (inout QEMUChannel.Setup) -> Void = { _ in },
            answering script: @escaping @Sendable (ChannelEvent) -> OperationAnswer? = { _ in .success }
        ) throws {
            directory = try TemporaryDirectory()
            var ends: [CInt] = [-1, -1]
            try #require(socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0, &ends) == 0)
            client = FileDescriptor(rawValue: ends[1])
            let file = directory.path.appending("unanswered")
            try replaceFile(file, by: Array(unanswered.utf8))
            var setup = QEMUChannel.Setup(
                device: directory.path.appending("port"), isRequired: false, unanswered: file,
                stored: FileDescriptor(rawValue: ends[0]))
            setup.stockAgent = StockAgent(root: directory.path, relaySocket: "relay")
            adapt(&setup)
            coordinator = ScriptedCoordinator(script)
            channel = try coordinator.startChannel(setup)
        }

        func end() {
            channel.stop()
            _ = channel.waitUntilEnded(.now + patience)
            try? client.close()
        }

        /// The file follows the replies.
        func waitForUnanswered(_ text: String) throws {
            let file = directory.path.appending("unanswered")
            let deadline = Moment.now + patience
            while try String(decoding: readWholeFile(file), as: UTF8.self) != text {
                try #require(Moment.now < deadline, "the file has not become \(text)")
                _ = pollDescriptors([], until: .now + .milliseconds(5))
            }
        }

        func send(_ text: String) throws { try client.writeAll(text.utf8) }

        /// The next replies, a line each.
        func replies(_ count: Int) throws -> [String] {
            var bytes: [UInt8] = []
            while bytes.count(where: { $0 == UInt8(ascii: "\n") }) < count {
                let events = pollOne(client, events: .readable, atMost: patience)
                try #require(!events.isEmpty, "only \(String(decoding: bytes, as: UTF8.self)) came")
                let more = try readOnce(client, atMost: 65_536)
                try #require(!more.isEmpty, "the port was closed after \(String(decoding: bytes, as: UTF8.self))")
                bytes += more
            }
            return String(decoding: bytes, as: UTF8.self).split(separator: "\n").map(String.init)
        }
    }

    @Test func `a backup in one write, as Proxmox VE sends it`() throws {
        let scene = try Scene()
        defer { scene.end() }
        try scene.send(
            "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":5}}{\"arguments\":{},\"execute\":\"guest-fsfreeze-freeze\"}"
        )
        #expect(try scene.replies(2) == ["{\"return\": 5}", "{\"return\": 1}"])
        try scene.send("{\"execute\":\"guest-fsfreeze-status\"}{\"execute\":\"guest-fsfreeze-thaw\"}")
        #expect(try scene.replies(2) == ["{\"return\": \"frozen\"}", "{\"return\": 0}"])
        #expect(scene.coordinator.events.compactMap(\.operation).count == 2)
    }

    @Test func `every request of the previous instance gets an error, so that libvirt does not wait for ever`()
        throws
    {
        let scene = try Scene(unanswered: "\n{\"a\": 1}\n\n\"cut")
        defer { scene.end() }
        let error =
            "\"error\": {\"class\": \"GenericError\", \"desc\": \"quiesced ended before the reply was ready\"}}"
        #expect(try scene.replies(2) == ["{\"id\": {\"a\": 1}, \(error)", "{\(error)"])
    }

    @Test func `a port with half a reply of the previous instance is closed, so that libvirt notices`() throws {
        let scene = try Scene(unanswered: "cut\n7\n")
        defer { scene.end() }
        #expect(!pollOne(scene.client, events: .readable, atMost: patience).isEmpty)
        #expect(try readOnce(scene.client, atMost: 100).isEmpty)
    }

    @Test func `P3 the failure of a thaw whose port was lost meanwhile is reported as undelivered`() throws {
        let directory = try TemporaryDirectory()
        let coordinator = ScriptedCoordinator { event in if case .thaw = event { nil } else { .success } }
        let (host, terminal) = try RawTerminal.makePair()
        var setup = QEMUChannel.Setup(
            device: directory.path.appending("port"), isRequired: true,
            unanswered: directory.path.appending("unanswered"))
        #expect(symlink(terminal.string, setup.device.string) == 0)
        setup.limits = QEMUChannelLimits(closed: .milliseconds(1), longestRetry: .milliseconds(5))
        setup.stockAgent = StockAgent(root: directory.path, relaySocket: "relay")
        let channel = try coordinator.startChannel(setup)
        defer { channel.stop() }
        _ = try coordinator.wait { $0.isRegistration ? true : nil }
        try host.writeAll("{\"execute\":\"guest-fsfreeze-thaw\"}".utf8)
        let operation = try coordinator.wait { if case .thaw(let operation, _) = $0 { operation } else { nil } }
        unlink(setup.device.string)
        try host.close()
        _ = try coordinator.wait(\.lossReason)
        channel.answer(
            operation, .failure, AnswerDetail(refusal: .lost, reason: "the window ended early"), before: nil)
        let reason = try coordinator.wait { if case .thawUndelivered(let reason) = $0 { reason } else { nil } }
        #expect(reason == "the window ended early")
    }

    @Test func `P3 the failure of a thaw that is unwritten at a stop is reported as undelivered`() throws {
        let scene = try Scene(answering: { event in if case .thaw = event { .failure } else { .success } })
        defer { scene.end() }
        // The client reads nothing, and has the room of a socket for replies.
        let pings = String(repeating: "{\"execute\":\"guest-ping\"}", count: 40_000)
        try scene.send(pings + "{\"execute\":\"guest-fsfreeze-thaw\"}")
        _ = try scene.coordinator.wait { if case .thaw = $0 { true } else { nil } }
        scene.channel.stop()
        #expect(scene.coordinator.events.contains { if case .thawUndelivered = $0 { true } else { false } })
    }

    @Test func `errors for the previous instance are sent once`() throws {
        let scene = try Scene(unanswered: "\n7\n")
        defer { scene.end() }
        try scene.send("{\"execute\":\"guest-ping\"}")
        #expect(try scene.replies(2).last == "{\"return\": {}}")
        try scene.waitForUnanswered("\n")
    }

    /// A machine with qemu-ga, and a channel with `auto`.
    private final class AutoScene {
        let directory: TemporaryDirectory
        let agent: StockAgent
        let coordinator = ScriptedCoordinator()
        private let host: FileDescriptor
        private let channel: QEMUChannel

        init(files: [FilePath] = []) throws {
            directory = try TemporaryDirectory()
            agent = StockAgent(root: directory.path, relaySocket: "relay")
            for file in [StockAgent.program] + files {
                let path = directory.path.pushing(file)
                try FileManager.default.createDirectory(
                    atPath: path.removingLastComponent().string, withIntermediateDirectories: true)
                try #require(symlink("/bin/true", path.string) == 0)
            }
            let terminal: FilePath
            (host, terminal) = try RawTerminal.makePair()
            var setup = QEMUChannel.Setup(
                device: directory.path.appending("port"), isRequired: false,
                unanswered: directory.path.appending("unanswered"))
            try #require(symlink(terminal.string, setup.device.string) == 0)
            setup.limits = QEMUChannelLimits(closed: .milliseconds(1), longestRetry: .milliseconds(5))
            setup.stockAgent = agent
            channel = try coordinator.startChannel(setup)
        }

        func waitUntilLeft() throws {
            #expect(try coordinator.wait { $0.note }.message.contains("left to qemu-ga"))
        }

        /// Waits for the registration.
        func end() throws {
            _ = try coordinator.wait { $0.isRegistration ? $0 : nil }
            channel.stop()
            #expect(channel.waitUntilEnded(.now + patience))
            try host.close()
        }
    }

    @Test func `auto leaves the port to a stock agent until the agent is behind quiesced`() throws {
        let scene = try AutoScene()
        try scene.waitUntilLeft()
        try replaceFile(scene.agent.relaySocket, by: [])
        try scene.end()
    }

    @Test func `auto opens the port after a removal of the stock agent`() throws {
        let scene = try AutoScene()
        try scene.waitUntilLeft()
        try #require(unlink(scene.directory.path.pushing(StockAgent.program).string) == 0)
        try scene.end()
    }

    @Test func `auto opens the port if a drop-in keeps the stock agent from the port`() throws {
        let units: FilePath = "usr/lib/systemd/system"
        let scene = try AutoScene(files: [
            units.appending("qemu-guest-agent.service.d/quiesce.conf"),
            "etc/systemd/system/multi-user.target.wants/quiesced.service",
        ])
        try scene.end()
        #expect(!scene.coordinator.notes.contains { $0.message.contains("left to qemu-ga") })
    }

    @Test func `a request that waits is on file until it has a reply`() throws {
        let scene = try Scene(answering: { if case .thaw = $0 { .success } else { nil } })
        defer { scene.end() }
        try scene.send(
            "{\"execute\":\"guest-sync\",\"arguments\":{\"id\":5}}{\"execute\":\"guest-fsfreeze-freeze\",\"id\":7}{\"execute\":\"guest-ping\"}"
        )
        let freeze = try scene.coordinator.wait {
            if case .freeze(let operation, _) = $0 { operation } else { nil }
        }
        #expect(try scene.replies(1) == ["{\"return\": 5}"])
        try scene.waitForUnanswered("\n7\n\n")
        scene.channel.answer(freeze, .failure, AnswerDetail(reason: "no"), before: nil)
        #expect(try scene.replies(2).last == "{\"return\": {}}")
        try scene.waitForUnanswered("\n")
    }

    @Test func `a stop ends the thread while no client is connected`() throws {
        let scene = try Scene()
        try scene.client.close()
        scene.channel.stop()
        #expect(scene.channel.waitUntilEnded(.now + patience))
    }

    @Test func `without a port the channel waits, and says so once`() throws {
        let directory = try TemporaryDirectory()
        let coordinator = ScriptedCoordinator()
        var setup = QEMUChannel.Setup(
            device: directory.path.appending("port"), isRequired: true,
            unanswered: directory.path.appending("unanswered"))
        setup.limits = QEMUChannelLimits(closed: .milliseconds(1), longestRetry: .milliseconds(5))
        let channel = try coordinator.startChannel(setup)
        let note = try coordinator.wait { $0.note }
        #expect(note.level == .warning && note.message.contains("there is no such port. Add a channel"))
        let (host, terminal) = try RawTerminal.makePair()
        #expect(symlink(terminal.string, setup.device.string) == 0)
        #expect(try coordinator.wait { $0.isRegistration ? $0 : nil } == .registered(isStandIn: true))
        try host.close()
        #expect(try coordinator.wait { $0.lossReason }.contains("hung up") == true)
        channel.stop()
        #expect(channel.waitUntilEnded(.now + patience))
        #expect(coordinator.notes.count { $0.message.contains("there is no such port") } == 1)
    }

    @Test func `P9 a flood of qemu-ga does not hold up a thaw, and ends the connection to qemu-ga`() throws {
        let scene = try Scene()
        defer { scene.end() }
        let listener = try FileDescriptor.localSocket(SOCK_STREAM, isBlocking: true)
        defer { try? listener.close() }
        let address = try LocalSocketAddress(path: scene.directory.path.appending("relay"))
        try #require(address.bind(listener) == nil && listen(listener.rawValue, 1) == 0)
        try scene.send("{\"execute\":\"guest-get-time\",\"id\":1}{\"execute\":\"guest-fsfreeze-thaw\",\"id\":2}")
        let flooder = FileDescriptor(rawValue: accept(listener.rawValue, nil, nil))
        let ended = try WakeUp()
        try OperatingSystemThread.start("flood") {
            let lines = Array(String(repeating: "{\"return\": {}, \"id\": \"quiesce-7\"}\n", count: 2000).utf8)
            var rest = [0xFF] + Array("{\"return\": 1234567890}\n".utf8)
            while send(flooder.rawValue, rest, rest.count, CInt(MSG_NOSIGNAL)) > 0 { rest = lines }
            ended.signal()
        }
        // The command fails with the connection, or at its deadline; then the thaw is served.
        let replies = try scene.replies(2)
        #expect(replies[0].contains("\"id\": 1, \"error\"") && replies[1] == "{\"return\": 0, \"id\": 2}")
        #expect(!pollOne(ended.descriptor, events: .readable, atMost: patience).isEmpty)
        try flooder.close()
    }

    @Test(.needsQemuAgent(toTest: "the relay to qemu-ga"))
    func `a long reply passes unchanged, also to a client that reads slowly`() throws {
        let agent = try QemuAgent()
        let scene = try Scene(adapt: { $0.stockAgent = StockAgent(relaySocket: agent.socket) })
        defer {
            scene.end()
            agent.end()
        }
        try scene.send("{\"execute\":\"guest-file-open\",\"arguments\":{\"path\":\"/dev/zero\"}}")
        let handle = try #require(scene.replies(1)[0].firstMatch(of: #/[0-9]+/#)?.output)
        let count = 600_000
        try scene.send(
            "{\"execute\":\"guest-file-read\",\"arguments\":{\"handle\":\(handle),\"count\":\(count)},\"id\":1}"
                + "{\"execute\":\"guest-ping\"}")
        let replies = try scene.replies(2)
        let text = String(repeating: "A", count: count / 3 * 4)
        #expect(replies[0].hasPrefix("{\"return\": {\"count\": \(count), "))
        #expect(replies[0].hasSuffix(", \"id\": 1}"))
        #expect(replies[0].contains("\"buf-b64\": \"\(text)\""))
        #expect(replies[1] == "{\"return\": {}}")
    }

    @Test(.needsQemuAgent(toTest: "the relay to qemu-ga"))
    func `other commands are relayed to qemu-ga, also after it was restarted`() throws {
        var agent = try QemuAgent()
        let scene = try Scene(adapt: { setup in
            setup.stockAgent = StockAgent(relaySocket: agent.socket)
        })
        defer { scene.end() }
        try scene.send("{\"execute\":\"guest-get-osinfo\",\"id\":\"a\"}")
        let info = try scene.replies(1)[0]
        #expect(info.hasPrefix("{\"return\": {") && info.hasSuffix(", \"id\": \"a\"}"))
        try scene.send("{\"execute\":\"guest-info\"}")
        let commands = try scene.replies(1)[0]
        #expect(commands.contains("\"name\": \"guest-get-osinfo\"") && commands.contains("\"version\": \"7."))
        try scene.send("{\"execute\":\"guest-file-close\",\"arguments\":{\"handle\":77}}")
        #expect(try scene.replies(1)[0].contains("handle '77' has not been found"))
        // A blocked command without a reply to success.
        try scene.send("{\"execute\":\"guest-shutdown\"}{\"execute\":\"guest-ping\"}")
        let replies = try scene.replies(2)
        #expect(replies[0].contains("guest-shutdown has been disabled") && replies[1] == "{\"return\": {}}")
        agent.end()
        try scene.send("{\"execute\":\"guest-get-time\"}")
        #expect(try scene.replies(1)[0].contains("\"error\""))
        agent = try QemuAgent(in: agent.directory)
        try scene.send("{\"execute\":\"guest-get-time\"}")
        #expect(try scene.replies(1)[0].hasPrefix("{\"return\": "))
        agent.end()
    }
}
