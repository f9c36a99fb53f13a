import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

@testable import Channels

/// The Varlink interface for the host: permitted connections, and the permissions of the host.
struct VsockChannelTests {
    private static let host: UInt32 = 2
    private static let right = "correct horse battery staple"
    private static let prefix = "org.quiesce.Control1."
    private static let denied = "org.quiesce.Control1.PermissionDenied"

    /// A channel on a fake vsock, with a daemon that freezes nothing.
    private final class Scene: Sendable {
        let daemon = FakeDaemon()
        let vsock: FakeVsock
        let channel: VsockChannel

        init(
            mayFreeze: Bool = false, token: String? = nil, limits: VsockChannelLimits = VsockChannelLimits(),
            listen: (@Sendable (FakeVsock) throws(Errno) -> any VsockAccepting)? = nil
        ) throws {
            vsock = try FakeVsock()
            var setup = VsockChannel.Setup(port: 9119)
            setup.mayFreeze = mayFreeze
            setup.token = token.flatMap { AccessToken(Array($0.utf8)) }
            setup.peer = VsockChannelTests.host
            let (daemon, vsock) = (daemon, vsock)
            channel = try VsockChannel(
                setup, inquiry: daemon, limits: limits, deliver: { daemon.take($0, $1) }
            ) { () throws(Errno) in
                if let listen { return try listen(vsock) }
                return vsock
            }
            daemon.attach(channel)
            try channel.start()
        }

        func connect() throws -> RawClient { try vsock.connect(from: VsockChannelTests.host) }

        func waitUntilSeen(_ words: String) -> Bool {
            daemon.seen.wait(until: .now + RawClient.patience) { $0.contains(words) ? true : nil } ?? false
        }

        func waitForLine(_ words: String) -> Bool {
            daemon.lines.wait(until: .now + RawClient.patience) { lines in
                lines.contains { $0.contains(words) } ? true : nil
            } ?? false
        }
    }

    private static func call(_ method: String, _ parameters: String = "{}", more: Bool = false) -> String {
        #"{"method":"\#(prefix)\#(method)","parameters":\#(parameters)\#(more ? #","more":true"# : "")}"#
    }

    private static func token(_ token: String) -> String { call("Authenticate", "{\"token\":\"\(token)\"}") }

    private static let hold = #"{"hold":true}"#

    private func run(_ scene: Scene, _ body: @escaping @Sendable (Scene) throws -> Void) async throws {
        try await blocking {
            defer { scene.channel.stop() }
            try body(scene)
        }
    }

    // MARK: Permitted connections

    @Test(arguments: [0, 1, 3, 77, UInt32.max])
    func `a machine that is not the host is cut off unheard`(contextID: UInt32) async throws {
        try await run(Scene()) { (scene) throws in
            let stranger = try scene.vsock.connect(from: contextID)
            try? stranger.send(Self.call("Status"))
            #expect(throws: RawClient.Ended.self) { try stranger.nextMessage() }
            #expect(scene.waitForLine("the machine with the context id \(contextID) was refused"))
            #expect(try scene.connect().call(Self.call("Status")).error == nil)
        }
    }

    @Test func `strangers do not fill the log`() async throws {
        try await run(Scene()) { (scene) throws in
            for _ in 1...50 { try scene.vsock.connect(from: 1).waitUntilClosed() }
            #expect(try scene.connect().call(Self.call("Status")).error == nil)
            #expect(scene.daemon.lines.update { $0.count { $0.contains("was refused") } } == 1)
        }
    }

    @Test func `calls without an answer are dropped, and delay no token`() async throws {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let flooder = try scene.connect()
            let oneway = Self.token("wrong horse battery staple").dropLast() + #","oneway":true}"#
            for _ in 1...200 { try flooder.send(String(oneway)) }
            // All have come.
            #expect(try flooder.call(Self.call("Status")).error == Self.denied)
            let began = Moment.now
            #expect(try scene.connect().call(Self.token(Self.right)).error == nil)
            #expect(Moment.now - began < .seconds(2))
        }
    }

    @Test func `P9 the host's connections have no raised priority`() async throws {
        try await run(Scene()) { (scene) throws in
            #expect(try scene.connect().call(Self.call("Status")).error == nil)
            let threads = try directoryEntries("/proc/self/task").filter { thread in
                // Threads of other tests end meanwhile.
                let name = try? readWholeFile(FilePath("/proc/self/task").appending(thread).appending("comm"))
                return name.map { String(decoding: $0, as: UTF8.self) } == "vsock-channel\n"
            }
            #expect(!threads.isEmpty)
            for thread in threads {
                let number = try #require(id_t(thread.string))
                // 0 also for a thread that has ended.
                #expect(getpriority(__priority_which_t(PRIO_PROCESS.rawValue), number) > ThreadPriority.raised)
            }
        }
    }

    @Test func `without a vsock the channel says so once, tries again, and then serves`() async throws {
        var limits = VsockChannelLimits()
        (limits.firstRetry, limits.longestRetry) = (.milliseconds(5), .milliseconds(10))
        let attempts = Monitor(0)
        let scene = try Scene(limits: limits) { vsock throws(Errno) in
            guard
                attempts.update({ attempts in
                    attempts += 1
                    return attempts > 5
                })
            else { throw .addressFamilyNotSupported }
            return vsock
        }
        try await run(scene) { (scene) throws in
            #expect(scene.waitUntilSeen("vsock registered"))
            #expect(try scene.connect().call(Self.call("Status")).error == nil)
            #expect(scene.daemon.lines.update { $0.count { $0.contains("the kernel has no vsock") } } == 1)
            #expect(scene.daemon.seen.update { $0.count { $0 == "vsock lost" } } == 1)
        }
    }

    @Test func `P7 no socket is opened while that may have the kernel load a module`() async throws {
        var limits = VsockChannelLimits()
        (limits.firstRetry, limits.longestRetry) = (.milliseconds(5), .milliseconds(5))
        let attempts = Monitor(0)
        let scene = try Scene(limits: limits) { _ throws(Errno) in
            attempts.update { $0 += 1 }
            throw .addressFamilyNotSupported
        }
        try await run(scene) { (scene) throws in
            _ = attempts.wait(until: .now + RawClient.patience) { $0 > 2 ? true : nil }
            scene.channel.holdOpening()
            let before = attempts.update(\.self)
            // One attempt may be in progress.
            #expect(attempts.wait(until: .now + .seconds(2)) { $0 > before + 1 ? true : nil } == nil)
            scene.channel.reopen()
            #expect(attempts.wait(until: .now + RawClient.patience) { $0 > before + 3 ? true : nil } == true)
        }
    }

    @Test(arguments: [Errno.tooManyOpenFiles, .connectionAbort, .socketNotConnected])
    func `a connection that cannot be accepted harms no other`(error: Errno) async throws {
        var limits = VsockChannelLimits()
        limits.acceptPause = .milliseconds(5)
        try await run(Scene(limits: limits)) { (scene) throws in
            scene.vsock.fail(error)
            #expect(try scene.connect().call(Self.call("Status")).error == nil)
            #expect(!scene.vsock.isClosed.update({ $0 }))
        }
    }

    @Test func `a broken listener is replaced`() async throws {
        var limits = VsockChannelLimits()
        (limits.firstRetry, limits.longestRetry) = (.milliseconds(5), .milliseconds(5))
        try await run(Scene(limits: limits)) { (scene) throws in
            #expect(scene.waitUntilSeen("vsock registered"))
            scene.vsock.fail(.badFileDescriptor)
            let isBack = scene.daemon.seen.wait(until: .now + RawClient.patience) {
                $0 == ["vsock registered", "vsock lost", "vsock registered"] ? true : nil
            }
            #expect(isBack == true)
        }
    }

    // MARK: Permissions of the host

    @Test func `with access to the status the host reads, and nothing else`() async throws {
        try await run(Scene()) { (scene) throws in
            let client = try scene.connect()
            #expect(try client.call(#"{"method":"org.varlink.service.GetInfo"}"#).parameters.vendor == "quiesce")
            for method in ["Status", "History"] {
                #expect(try client.call(Self.call(method)).error == nil, "\(method)")
            }
            for method in ["Freeze", "Thaw", "Acknowledge"] {
                #expect(try client.call(Self.call(method, Self.hold)).error == Self.denied, "\(method)")
            }
            #expect(try client.call(Self.token(Self.right)).parameters.reason == "no token is needed here")
            try client.send(Self.call("Monitor", more: true))
            #expect(try client.receive().continues == true)
            #expect(scene.daemon.seen.update(\.self) == ["vsock registered"])
        }
    }

    @Test func `with access to control the host has a window of its own, and is no admin`() async throws {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let client = try scene.connect()
            #expect(try client.call(Self.token(Self.right)) == .empty)
            for (method, parameters) in [
                ("Freeze", "{}"), ("Freeze", #"{"hold":false}"#), ("Freeze", #"{"freeze":false}"#),
                ("Thaw", #"{"force":true}"#), ("Thaw", #"{"hooks_only":true}"#), ("Acknowledge", "{}"),
            ] {
                let answer = try client.call(Self.call(method, parameters))
                #expect(answer.error == Self.denied, "\(method) \(parameters)")
                #expect(answer.parameters.reason?.isEmpty == false)
            }
            #expect(try client.call(Self.call("Freeze", Self.hold)).error == nil)
            #expect(try client.call(Self.call("Thaw")).error == nil)
            #expect(scene.daemon.seen.update(\.self) == ["vsock registered", "vsock freeze", "vsock thaw"])
        }
    }

    @Test func `P1 a window ends with its connection, and the thaw of another connection is not its own`()
        async throws
    {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            var holder: RawClient? = try scene.connect()
            let other = try scene.connect()
            for client in [holder, other] { #expect(try client?.call(Self.token(Self.right)) == .empty) }
            #expect(try holder?.call(Self.call("Freeze", Self.hold)).error == nil)
            _ = try other.call(Self.call("Thaw"))
            let channels = scene.daemon.channels.update(\.self)
            #expect(channels.count == 2 && Set(channels).count == 2, "\(channels)")
            holder = nil
            #expect(scene.waitUntilSeen("vsock lost"))
        }
    }

    @Test(arguments: [false, true])
    func `without the token a connection gets nothing`(mayFreeze: Bool) async throws {
        try await run(Scene(mayFreeze: mayFreeze, token: Self.right)) { (scene) throws in
            let client = try scene.connect()
            for method in ["Status", "History", "Freeze", "Thaw", "Acknowledge", "Monitor"] {
                #expect(
                    try client.call(Self.call(method, Self.hold, more: true)).error == Self.denied, "\(method)")
            }
            #expect(try client.call(Self.call("Authenticate")).error == "org.varlink.service.InvalidParameter")
            #expect(try client.call(Self.token("wrong")).error == Self.denied)
            #expect(try client.call(Self.call("Status")).error == Self.denied)
            #expect(try client.call(Self.token(Self.right)) == .empty)
            #expect(try client.call(Self.call("Status")).error == nil)
            // The right token counts for its own connection.
            #expect(try scene.connect().call(Self.call("Status")).error == Self.denied)
            let lines = scene.daemon.lines.update(\.self)
            #expect(lines.contains { $0.contains("the host has shown a wrong token") })
            #expect(!lines.contains { $0.contains(Self.right) })
        }
    }

    @Test func `the third wrong token ends the connection, and each one takes longer`() async throws {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let client = try scene.connect()
            let began = Moment.now
            for _ in 1...3 { #expect(try client.call(Self.token("wrong")).error == Self.denied) }
            #expect(Moment.now - began > .milliseconds(700))
            try client.waitUntilClosed()
            // The pause continues on a new connection.
            let next = try scene.connect()
            #expect(try next.call(Self.token(Self.right)) == .empty)
            #expect(Moment.now - began > .milliseconds(1700))
        }
    }

    @Test func `P9 who waits for its turn with a token keeps nobody else waiting`() async throws {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let holder = try scene.connect()
            #expect(try holder.call(Self.token(Self.right)) == .empty)
            let guessers = try (1...8).map { _ in try scene.connect() }
            for guesser in guessers { try guesser.send(Self.token("wrong")) }
            let asked = Moment.now
            #expect(try holder.call(Self.call("Freeze", Self.hold)).error == nil)
            #expect(try holder.call(Self.call("Thaw")).error == nil)
            #expect(Moment.now - asked < .seconds(2))
        }
    }

    // MARK: Limits

    @Test func `seventeen connections: one that has shown the token keeps its place, a silent one does not`()
        async throws
    {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let holder = try scene.connect()
            #expect(try holder.call(Self.token(Self.right)) == .empty)
            let silent = try (1...15).map { _ in try scene.connect() }
            // The answer shows that the server has admitted the last connection.
            #expect(try silent[14].call(Self.call("Status")).error == Self.denied)
            let next = try scene.connect()
            #expect(try next.call(Self.call("Status")).error == Self.denied)
            try silent[0].waitUntilClosed()
            #expect(try holder.call(Self.call("Status")).error == nil)
        }
    }

    @Test func `a seventeenth connection beside sixteen with a token is refused`() async throws {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let clients = try (1...16).map { _ in try scene.connect() }
            for client in clients { #expect(try client.call(Self.token(Self.right)) == .empty) }
            try scene.connect().waitUntilClosed()
            #expect(scene.waitForLine("was turned away"))
            for client in clients { #expect(try client.call(Self.call("Status")).error == nil) }
        }
    }

    @Test func `an idle connection is closed; one with a window, or a subscription, is not idle`() async throws {
        var limits = VsockChannelLimits()
        limits.idleTimeout = .milliseconds(100)
        try await run(Scene(mayFreeze: true, token: Self.right, limits: limits)) { (scene) throws in
            let holder = try scene.connect()
            #expect(try holder.call(Self.token(Self.right)) == .empty)
            #expect(try holder.call(Self.call("Freeze", Self.hold)).error == nil)
            let monitor = try scene.connect()
            #expect(try monitor.call(Self.token(Self.right)) == .empty)
            #expect(try monitor.call(Self.call("Monitor", more: true)).continues == true)
            // Each becomes idle later than the two, and is closed: so the two are not idle.
            for _ in 1...3 {
                let idle = try scene.connect()
                #expect(try idle.call(Self.token(Self.right)) == .empty)
                try idle.waitUntilClosed()
            }
            #expect(pollOne(monitor.descriptor, events: .readable, atMost: .zero).isEmpty)
            #expect(try holder.call(Self.call("Thaw")).error == nil)
            // Without the window the connection is idle.
            try holder.waitUntilClosed()
        }
    }

    @Test(arguments: ["garbage\u{0}", "[]\u{0}", String(repeating: "[", count: 70_000) + "\u{0}"])
    func `garbage ends its own connection`(message: String) async throws {
        try await run(Scene(mayFreeze: true, token: Self.right)) { (scene) throws in
            let client = try scene.connect()
            try client.send(bytes: Array(message.utf8))
            #expect(try client.receive().error == "org.varlink.service.InvalidParameter")
            try client.waitUntilClosed()
            #expect(scene.waitForLine("vsock: the machine with the context id 2 sent something"))
            #expect(try scene.connect().call(Self.token(Self.right)) == .empty)
        }
    }
}
