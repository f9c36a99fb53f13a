import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing
import Varlink

/// A server for a test, with the interface `org.example.test`.
struct TestService {
    let directory: TemporaryDirectory
    let handler = TestHandler()
    let path: FilePath
    let server: VarlinkServer
    let notes = Monitor<[VarlinkServerNote]>([])

    init(limits: VarlinkLimits = VarlinkLimits(), servedUsers: Set<UInt32> = [geteuid()]) throws {
        directory = try TemporaryDirectory()
        path = directory.path.appending("socket")
        server = VarlinkServer(
            socket: path,
            service: VarlinkServiceInfo(
                vendor: "Example", product: "Test", version: "1", url: "https://example.org"),
            interfaces: [TestHandler.interface], servedUsers: servedUsers, limits: limits, handler: handler
        ) { [notes] note in notes.update { $0.append(note) } }
    }

    /// Runs the body with a server that has started, and stops it.
    static func run(
        limits: VarlinkLimits = VarlinkLimits(), servedUsers: Set<UInt32> = [geteuid()],
        _ body: (TestService) throws -> Void
    ) throws {
        let service = try TestService(limits: limits, servedUsers: servedUsers)
        try service.server.start()
        do {
            try body(service)
        } catch {
            service.server.stop()
            throw error
        }
        service.server.stop()
    }

    func connect() throws -> RawClient {
        try RawClient(path)
    }

    /// Waits until the server has made such a note.
    func waitForNote(_ matches: (VarlinkServerNote) -> Bool) -> Bool {
        notes.wait(until: .now + RawClient.patience) { $0.contains(where: matches) ? true : nil } ?? false
    }
}

/// Answers each method in its own way, and keeps account.
final class TestHandler: VarlinkHandler {
    struct State: Sendable {
        var handled: [String] = []
        var closed = 0
        /// Calls of `Wait` and `Subscribe`, for the test to answer.
        var waiting: [VarlinkCall] = []
    }

    static let interface = VarlinkInterface(
        description: """
            # For tests.
            interface org.example.test

            method Echo(text: string) -> (text: string)
            method Count(to: int) -> (number: int)
            method Break(reason: string) -> ()
            method Wait() -> (text: string)
            method Subscribe() -> (text: string)
            method Drop() -> ()
            method Hold(on: bool) -> ()

            error Broken (reason: string)

            """)

    let state = Monitor(State())

    func handle(_ call: VarlinkCall) {
        state.update { $0.handled.append(call.method) }
        do throws(VarlinkServiceError) {
            switch call.method {
            case "org.example.test.Echo": call.reply(try call.parameters(as: Echo.self))
            case "org.example.test.Count": count(call, to: try call.parameters(as: Count.self).to)
            case "org.example.test.Break":
                call.fail("org.example.test.Broken", try call.parameters(as: Break.self))
            case "org.example.test.Wait", "org.example.test.Subscribe": state.update { $0.waiting.append(call) }
            case "org.example.test.Hold":
                call.connection.keepsOpen = try call.parameters(as: Hold.self).on
                call.reply(NoParameters())
            default: break
            }
        } catch {
            call.fail(error)
        }
    }

    func connectionClosed(_ connection: VarlinkConnection) {
        state.update { $0.closed += 1 }
    }

    private func count(_ call: VarlinkCall, to last: Int) {
        for number in 1..<last { call.reply(continuing: Number(number: number)) }
        call.reply(Number(number: last))
    }

    /// The oldest call that waits for the test to answer it.
    func nextWaiting() throws -> VarlinkCall {
        try #require(
            state.wait(until: .now + RawClient.patience) { $0.waiting.isEmpty ? nil : $0.waiting.removeFirst() })
    }

    func waitUntil(_ holds: (State) -> Bool) -> Bool {
        state.wait(until: .now + RawClient.patience) { holds($0) ? true : nil } ?? false
    }

    struct Echo: Codable {
        let text: String
    }
    struct Count: Codable {
        let to: Int
    }
    struct Number: Codable, Equatable {
        let number: Int
    }
    struct Break: Codable, Equatable {
        let reason: String
    }
    struct Hold: Codable {
        let on: Bool
    }
}

/// What blocks, on a thread of its own.
final class Background<Value: Sendable>: Sendable {
    private let result = Monitor<Result<Value, any Error>?>(nil)

    init(_ body: @escaping @Sendable () throws -> Value) throws {
        try OperatingSystemThread.start("test") { [result] in
            let value = Result { try body() }
            result.update { $0 = value }
        }
    }

    /// Blocks until it is there.
    func value() throws -> Value {
        try #require(result.wait(until: .now + RawClient.patience) { $0 }).get()
    }
}
