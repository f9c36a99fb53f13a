import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A program in place of the qemu-ga behind quiesced. A script answers the requests.
final class FakeQemuAgent: Sendable {
    /// As in `quiesce-qemu-ga.socket`.
    private static let socket: FilePath = "/run/quiesce-qemu-ga.sock"

    /// A connection of the daemon.
    struct Connection: Sendable {
        let client: RawClient

        func send(_ text: String) throws(Errno) { try client.send(bytes: Array(text.utf8)) }
        func end() { shutdown(client.descriptor.rawValue, CInt(SHUT_RDWR)) }
    }

    /// A request of the daemon.
    struct Request: Sendable {
        let command: String
        let tag: String

        /// - Parameter value: JSON.
        func reply(_ value: String) -> String { "{\"return\": \(value), \"id\": \"\(tag)\"}\n" }
    }

    private struct State {
        var lines: [String] = []
        var connections: [Connection] = []
        var isClosed = false
    }

    private let state = Monitor(State())
    private let listener: RawListener
    private let end: WakeUp

    /// Listens, as systemd does.
    ///
    /// - Parameter serve: Answers a request. `guest-sync-delimited` is answered before.
    init(_ serve: @escaping @Sendable (Request, Connection) throws -> Void) throws {
        unlink(Self.socket.string)
        listener = try RawListener(at: Self.socket)
        end = try WakeUp()
        try OperatingSystemThread.start("qemu-ga") { [state, listener, end] in
            let isEnded = {
                pollDescriptors([(end.descriptor, .readable), (listener.descriptor, .readable)], until: nil)[0]
                    .contains(.readable)
            }
            while !isEnded(), let client = try? listener.accept() {
                let connection = Connection(client: client)
                state.update { $0.connections.append(connection) }
                Self.read(connection, state, serve)
            }
            try? listener.descriptor.close()
        }
    }

    /// Answers every command with `1`.
    convenience init() throws {
        try self.init { try $1.send($0.reply("1")) }
    }

    deinit {
        close()
    }

    /// Ends all connections.
    func close() {
        end.signal()
        unlink(Self.socket.string)
        for connection in state.update(\.connections) { connection.end() }
    }

    /// Every received line.
    var lines: [String] { state.update(\.lines) }
    var connections: [Connection] { state.update(\.connections) }

    /// Serves a single client at a time, as qemu-ga.
    private static func read(
        _ connection: Connection, _ state: Monitor<State>, _ serve: (Request, Connection) throws -> Void
    ) {
        var input: [UInt8] = []
        while let bytes = try? readOnce(connection.client.descriptor, atMost: 65_536), !bytes.isEmpty {
            input += bytes
            while let end = input.firstIndex(of: UInt8(ascii: "\n")) {
                let line = String(decoding: input[..<end], as: UTF8.self)
                input.removeSubrange(...end)
                state.update { $0.lines.append(line) }
                do {
                    if line.contains("guest-sync-delimited") {
                        try connection.client.send(bytes: [0xFF] + Array("{\"return\": 1234567890}\n".utf8))
                    } else if let request = Request(line) {
                        try serve(request, connection)
                    }
                } catch {
                    return connection.end()
                }
            }
        }
    }
}

extension FakeQemuAgent.Request {
    fileprivate init?(_ line: String) {
        let words = line.split(separator: "\"", omittingEmptySubsequences: false).map(String.init)
        guard let execute = words.firstIndex(of: "execute"), let id = words.lastIndex(of: "id"),
            execute + 2 < words.count, id + 2 < words.count
        else { return nil }
        (command, tag) = (words[execute + 2], words[id + 2])
    }
}
