import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The connection to the distribution's qemu-ga. systemd starts qemu-ga at the first connection. Used by a single thread,
/// and never blocks.
struct QEMUAgentRelay {
    enum News {
        case result(tag: String, AgentSession.RelayResult)
        /// The connection has ended; outstanding commands have no reply.
        case lost
    }

    /// Bytes of a reply. libvirt refuses replies above 10 MB.
    private static let longestReply = 16 << 20
    /// Bytes of unexpected replies before the connection ends.
    private static let mostUnawaited = 1 << 20
    private static let marker = 1_234_567_890

    let socket: FilePath
    private(set) var connection: FileDescriptor?
    /// False until the connection has synchronized: an earlier client can have left half a request.
    private var isSynchronized = false
    private var input: [UInt8] = []
    /// How much of the input was searched for the end of a line.
    private var searchedCount = 0
    private var output: [UInt8] = []
    /// Tags of requests without a reply to success. The reply to a later request shows the success.
    private var silentTags: Set<String> = []
    /// The ids of the outstanding replies.
    private var awaited: Set<String> = []
    /// Bytes of unexpected replies. qemu-ga sends none.
    private var unawaitedCount = 0
    /// Whether the connection may have more to read.
    private(set) var mayHaveInput = false

    /// - Parameter socket: Of systemd's socket unit, on a tmpfs: the thread must not wait for a disk (P9).
    init(socket: FilePath) {
        self.socket = socket
    }

    /// Whether systemd listens for qemu-ga. Looks a path up: not in the window (P7).
    var isInstalled: Bool { access(socket.string, F_OK) == 0 }

    func close() {
        try? connection?.close()
    }

    /// Sends a request, over a new connection if there is none.
    ///
    /// - Throws: The error of socket(2) or connect(2).
    mutating func send(_ request: AgentRelayRequest) throws(Errno) {
        if connection == nil { try connect() }
        output += request.line
        awaited.insert(request.tag)
        if !request.repliesToSuccess {
            silentTags.insert(request.tag)
            awaited.insert(Self.successTag(request.tag))
            output +=
                AgentRelayRequest(
                    tag: Self.successTag(request.tag), command: AgentRequest.Command.ping.rawValue, arguments: nil,
                    repliesToSuccess: true
                ).line
        }
        write()
    }

    private static func successTag(_ tag: String) -> String { "\(tag)-done" }

    private mutating func connect() throws(Errno) {
        let descriptor = try FileDescriptor.localSocket(SOCK_STREAM)
        let address = try LocalSocketAddress(path: socket)
        if let error = address.connect(descriptor) {
            try? descriptor.close()
            throw error
        }
        reset()
        (connection, mayHaveInput) = (descriptor, true)
        output =
            [0xFF]
            + Array("{\"execute\": \"guest-sync-delimited\", \"arguments\": {\"id\": \(Self.marker)}}\n".utf8)
    }

    /// The connection has changed.
    mutating func mayRead() {
        mayHaveInput = connection != nil
    }

    /// Writes as much as there is room for, and reads a piece. The thread serves the port between two pieces.
    mutating func work() -> [News] {
        write()
        guard mayHaveInput, let connection else { return [] }
        do throws(Errno) {
            let bytes = try readOnce(connection, atMost: 65_536)
            guard !bytes.isEmpty else { throw .brokenPipe }
            input += bytes
            let news = takeReplies()
            guard input.count <= Self.longestReply, unawaitedCount <= Self.mostUnawaited else {
                throw .fileTooLarge
            }
            return news
        } catch .resourceTemporarilyUnavailable {
            mayHaveInput = false
        } catch .interrupted {
        } catch {
            drop()
            return [.lost]
        }
        return []
    }

    private mutating func write() {
        guard let connection else { return }
        while !output.isEmpty {
            let count = output.withUnsafeBytes {
                Glibc.send(connection.rawValue, $0.baseAddress, $0.count, CInt(MSG_NOSIGNAL))
            }
            // The end of the connection is found by reading.
            guard count > 0 || errno == EINTR else { return }
            output.removeFirst(max(0, count))
        }
    }

    /// Ends the connection. Outstanding commands have no reply.
    mutating func drop() {
        close()
        reset()
    }

    private mutating func reset() {
        (connection, mayHaveInput, isSynchronized) = (nil, false, false)
        (input, searchedCount, output) = ([], 0, [])
        (silentTags, awaited, unawaitedCount) = ([], [], 0)
    }

    private mutating func takeReplies() -> [News] {
        var news: [News] = []
        while let end = input[searchedCount...].firstIndex(of: UInt8(ascii: "\n")) {
            let line = Array(input[...end])
            input.removeSubrange(...end)
            searchedCount = 0
            if !isSynchronized {
                isSynchronized = line == [0xFF] + Array("{\"return\": \(Self.marker)}\n".utf8)
                continue
            }
            guard let id = AgentReplySplice.id(of: line), awaited.remove(id) != nil else {
                unawaitedCount += line.count
                continue
            }
            if let silent = silentTags.first(where: { Self.successTag($0) == id }) {
                silentTags.remove(silent)
                news.append(.result(tag: silent, .noReply))
            } else {
                // An error of a command without a reply to success.
                silentTags.remove(id)
                news.append(.result(tag: id, .reply(line)))
            }
        }
        searchedCount = input.count
        return news
    }
}
