import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

/// A client that sends any bytes at all, and knows nothing of Varlink but the NULs.
final class RawClient: Sendable {
    let descriptor: FileDescriptor

    /// Long enough for a slow machine; reached only when a test fails.
    static let patience: Duration = .seconds(30)

    /// Takes over one end of a connection.
    init(descriptor: FileDescriptor) {
        self.descriptor = descriptor
    }

    init(_ path: FilePath) throws {
        descriptor = try .localSocket(SOCK_STREAM, isBlocking: true)
        if let error = try LocalSocketAddress(path: path).connect(descriptor) { throw error }
    }

    deinit {
        try? descriptor.close()
    }

    /// Sends one message.
    func send(_ message: String) throws {
        try send(bytes: Array(message.utf8) + [0])
    }

    /// - Throws: EPIPE or ECONNRESET when the server has closed.
    func send(bytes: [UInt8]) throws(Errno) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes {
                Glibc.send(descriptor.rawValue, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            guard count >= 0 else { throw Errno(rawValue: errno) }
            rest = rest.dropFirst(count)
        }
    }

    /// Waits until the server has taken all that was sent.
    func waitUntilTaken() -> Bool {
        let deadline = Moment.now + Self.patience
        while Moment.now < deadline {
            var waiting: CInt = 0
            // SIOCOUTQ (unix(7)): what the peer has not read.
            guard ioctl(descriptor.rawValue, UInt(TIOCOUTQ), &waiting) == 0 else { return false }
            if waiting == 0 { return true }
            sched_yield()
        }
        return false
    }

    /// The next message, decoded.
    func receive() throws -> Answer {
        try JSONDecoder().decode(Answer.self, from: Data(nextMessage()))
    }

    func call(_ message: String) throws -> Answer {
        try send(message)
        return try receive()
    }

    /// The next message's bytes. Nothing of the one after it is taken.
    func nextMessage() throws -> [UInt8] {
        var message: [UInt8] = []
        while let piece = try read(upTo: { $0.firstIndex(of: 0) }) {
            message += piece
            if message.last == 0 { return message.dropLast() }
        }
        throw Ended(after: message.count)
    }

    /// Waits until the server has closed; what it sent before is read over.
    func waitUntilClosed() throws {
        while try read(upTo: { _ in nil }) != nil {}
    }

    /// Reads what is there, as far as the byte that is looked for; nil at the end.
    private func read(upTo find: ([UInt8].SubSequence) -> Int?) throws -> [UInt8]? {
        guard !pollOne(descriptor, events: .readable, atMost: Self.patience).isEmpty else { throw TimedOut() }
        do {
            var buffer = [UInt8](repeating: 0, count: 65_536)
            let count = recv(descriptor.rawValue, &buffer, buffer.count, CInt(MSG_PEEK))
            guard count >= 0 else { throw Errno(rawValue: errno) }
            if count == 0 { return nil }
            return try readOnce(descriptor, atMost: find(buffer[..<count]).map { $0 + 1 } ?? count)
        } catch Errno.connectionReset {
            // The server closed before it had read everything.
            return nil
        }
    }

    struct Ended: Error {
        let after: Int
    }

    struct TimedOut: Error {}
}

/// Any answer of the test's own interface and of `org.varlink.service`.
struct Answer: Decodable, Equatable {
    var error: String?
    var continues: Bool?
    var parameters: Parameters

    struct Parameters: Decodable, Equatable {
        var text: String?
        var number: Int?
        var reason: String?
        var interface: String?
        var method: String?
        var parameter: String?
        var description: String?
        var vendor: String?
        var interfaces: [String]?
    }

    static func text(_ text: String) -> Answer { Answer(parameters: Parameters(text: text)) }
    static func number(_ number: Int, continues: Bool? = nil) -> Answer {
        Answer(continues: continues, parameters: Parameters(number: number))
    }
    static func invalid(_ parameter: String) -> Answer {
        Answer(error: "org.varlink.service.InvalidParameter", parameters: Parameters(parameter: parameter))
    }
    static let empty = Answer(parameters: Parameters())
}
