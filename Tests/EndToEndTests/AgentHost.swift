import Foundation
import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// Plays the client of a guest agent, on a pseudoterminal in place of the port. A thread reads the replies, and sorts them
/// by their `id`.
final class AgentHost: BackupHost {
    /// A reply, or the end of the wait for it.
    enum Reply: Equatable, Sendable {
        case number(Int)
        case text(String)
        case object
        case error(class: String, reason: String)
        /// The daemon closed the port.
        case lost

        static let notFound = "CommandNotFound"

        var errorClass: String? { if case .error(let name, _) = self { name } else { nil } }
    }

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private struct State {
        var lastID = 0
        var outstanding: Set<Int> = []
        var replies: [Int: Reply] = [:]
        var repliedIDs: [Int] = []
        /// Lines without the `id` of an outstanding request.
        var otherLines: [String] = []
        var isHungUp = false
        var isReading = true
        var isClosed = false
    }

    /// A symbolic link to the terminal.
    let path: FilePath
    let isAnsweredByNextDaemon: Bool
    private let master: FileDescriptor
    private let state = Monitor(State())
    private let wakeUp: WakeUp
    private let writing = Mutex(())

    /// - Parameter isKept: Whether a `DescriptorStore` keeps the port open.
    init(at path: FilePath, isKept: Bool = false) throws {
        self.path = path
        isAnsweredByNextDaemon = isKept
        wakeUp = try WakeUp()
        let (master, terminal) = try RawTerminal.makePair()
        self.master = master
        unlink(path.string)
        guard symlink(terminal.string, path.string) == 0 else { throw Errno(rawValue: errno) }
        try OperatingSystemThread.start("agent-host") { [master, state, wakeUp] in
            Self.read(master, state, wakeUp)
        }
    }

    deinit {
        hangUp()
    }

    /// Closes the terminal, once: the daemon receives POLLHUP. The path can belong to a successor later.
    func hangUp() {
        let isFirst = state.update { state in
            defer { state.isClosed = true }
            return !state.isClosed
        }
        guard isFirst else { return }
        unlink(path.string)
        wakeUp.signal()
    }

    /// Stops reading, so that the terminal fills.
    func setReading(_ isReading: Bool) {
        state.update { $0.isReading = isReading }
        wakeUp.signal()
    }

    // MARK: Requests

    /// Sends bytes, as quickly as the daemon reads.
    ///
    /// - Returns: The number of bytes written before the deadline.
    @discardableResult
    func send(_ bytes: some Collection<UInt8>, within limit: Duration = .seconds(30)) throws -> Int {
        let bytes = Array(bytes)
        let deadline = Moment.now + limit
        var count = 0
        try writing.withLock { _ in
            while count < bytes.count, Moment.now < deadline {
                guard pollDescriptors([(master, .writable)], until: deadline)[0].contains(.writable) else {
                    // Full, and without a daemon: poll(2) reports the hang-up at once.
                    _ = pollDescriptors([], until: min(deadline, .now + .milliseconds(5)))
                    continue
                }
                let written = bytes[count...].withUnsafeBytes { write(master.rawValue, $0.baseAddress, $0.count) }
                guard written >= 0 || errno == EAGAIN || errno == EINTR else { throw Errno(rawValue: errno) }
                count += max(0, written)
            }
        }
        return count
    }

    /// A new request. The reply is ``reply(to:within:)``.
    func request(_ command: String, _ arguments: String? = nil) -> (id: Int, bytes: [UInt8]) {
        let id = state.update { state in
            state.lastID += 1
            state.outstanding.insert(state.lastID)
            return state.lastID
        }
        let members = arguments.map { ",\"arguments\":\($0)" } ?? ""
        return (id, Array("{\"execute\":\"\(command)\"\(members),\"id\":\(id)}\n".utf8))
    }

    func reply(to id: Int, within limit: Duration = .seconds(40)) throws -> Reply {
        let reply = state.wait(until: .now + limit) { state -> Reply? in
            guard let reply = state.replies.removeValue(forKey: id) else { return nil }
            state.outstanding.remove(id)
            return reply
        }
        guard let reply else { throw Failure(description: "no reply to request \(id) within \(limit)") }
        return reply
    }

    func ask(_ command: String, _ arguments: String? = nil, within limit: Duration = .seconds(40)) throws -> Reply
    {
        let (id, bytes) = request(command, arguments)
        try send(bytes)
        return try reply(to: id, within: limit)
    }

    /// Resets the daemon's reader, and waits for the reply.
    func synchronize(within limit: Duration = .seconds(20)) throws {
        let (id, bytes) = request("guest-sync-delimited", "{\"id\":4711}")
        try send([0xFF] + bytes)
        let reply = try reply(to: id, within: limit)
        guard reply == .number(4711) else { throw Failure(description: "the reply to guest-sync: \(reply)") }
    }

    /// The ids of all replies, in order.
    var repliedIDs: [Int] { state.update(\.repliedIDs) }

    /// The lines without an expected `id` since the last call.
    func takeOtherLines() -> [String] {
        state.update { state in
            defer { state.otherLines = [] }
            return state.otherLines
        }
    }

    func freeze() throws -> BackupAnswer { try perform("guest-fsfreeze-freeze") }
    func thaw() throws -> BackupAnswer { try perform("guest-fsfreeze-thaw") }

    private func perform(_ command: String) throws -> BackupAnswer {
        switch try ask(command) {
        case .number(let count): return .success(filesystems: count)
        case .error(_, let reason): return .failure(reason: reason)
        case .lost: return .lost
        case let other: throw Failure(description: "\(command): \(other)")
        }
    }

    // MARK: The thread

    private static func read(_ master: FileDescriptor, _ state: Monitor<State>, _ wakeUp: WakeUp) {
        var line: [UInt8] = []
        while true {
            wakeUp.clear()
            let (isClosed, isReading, isHungUp) = state.update { ($0.isClosed, $0.isReading, $0.isHungUp) }
            if isClosed { break }
            // poll(2) reports the hang-up until the next daemon opens the terminal, and the opening is no event.
            _ = pollDescriptors(
                [(wakeUp.descriptor, .readable), (isReading && !isHungUp ? master : nil, .readable)],
                until: isReading && isHungUp ? .now + .milliseconds(5) : nil)
            if isReading { readAll(master, &line, state) }
        }
        try? master.close()
    }

    private static func readAll(_ master: FileDescriptor, _ line: inout [UInt8], _ state: Monitor<State>) {
        while true {
            do throws(Errno) {
                let bytes = try readOnce(master, atMost: 65_536)
                var rest = bytes[...]
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    line += rest[..<end]
                    receive(line, state)
                    line = []
                    rest = rest[(end + 1)...]
                }
                line += rest
                state.update { $0.isHungUp = false }
            } catch .interrupted {
                continue
            } catch .resourceTemporarilyUnavailable {
                return state.update { $0.isHungUp = false }
            } catch {
                line = []
                return state.update { state in
                    guard !state.isHungUp else { return }
                    state.isHungUp = true
                    for id in state.outstanding where state.replies[id] == nil { state.replies[id] = .lost }
                }
            }
        }
    }

    private static func receive(_ line: [UInt8], _ state: Monitor<State>) {
        let text = line.first == 0xFF ? line.dropFirst() : line[...]
        let message = try? JSONDecoder().decode(Message.self, from: Data(text))
        state.update { state in
            if let id = message?.id, let reply = message?.reply, state.outstanding.contains(id),
                state.replies[id] == nil
            {
                state.replies[id] = reply
                state.repliedIDs.append(id)
            } else {
                state.otherLines.append(String(decoding: text, as: UTF8.self))
            }
        }
    }

    private struct Message: Decodable {
        struct Problem: Decodable {
            let `class`: String
            let desc: String
        }

        enum Key: String, CodingKey { case result = "return", error, id }

        let id: Int?
        let reply: Reply?

        init(from decoder: any Decoder) throws {
            let container = try decoder.container(keyedBy: Key.self)
            id = try? container.decode(Int.self, forKey: .id)
            if let problem = try container.decodeIfPresent(Problem.self, forKey: .error) {
                reply = .error(class: problem.class, reason: problem.desc)
            } else if let number = try? container.decode(Int.self, forKey: .result) {
                reply = .number(number)
            } else if let text = try? container.decode(String.self, forKey: .result) {
                reply = .text(text)
            } else {
                reply = container.contains(.result) ? .object : nil
            }
        }
    }
}
