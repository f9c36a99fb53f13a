import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

/// A running qemu-ga.
final class QemuAgent {
    private static let program = "/usr/sbin/qemu-ga"
    static var isInstalled: Bool { access(program, X_OK) == 0 }

    let directory: TemporaryDirectory
    private let process: ChildProcess
    let socket: FilePath

    convenience init() throws {
        try self.init(in: try TemporaryDirectory())
    }

    /// - Parameter directory: Of the socket.
    init(in directory: TemporaryDirectory) throws {
        self.directory = directory
        chmod(directory.path.string, 0o777)
        socket = directory.path.appending("agent")
        unlink(socket.string)
        let null = try FileDescriptor.open("/dev/null", .readWrite)
        defer { try? null.close() }
        let freezing = ["status", "freeze", "freeze-list", "thaw"].map { "guest-fsfreeze-\($0)" }
        let user = geteuid() == 0 ? ["--reuid", "nobody", "--regid", "nogroup", "--clear-groups"] : []
        process = try ChildProcess.start(
            ChildProcess.Program(
                "/usr/bin/setpriv",
                arguments: ["setpriv"] + user + [
                    "--inh-caps=-all", "--bounding-set=-all", Self.program, "--method", "unix-listen", "--path",
                    socket.string,
                    "--statedir", directory.path.string, "--pidfile", directory.path.appending("pid").string,
                    "--block-rpcs", (freezing + ["guest-shutdown"]).joined(separator: ","),
                ], environment: []),
            descriptors: [null, null, null])
        let deadline = Moment.now + .seconds(10)
        // qemu-ga serves clients in sequence.
        while (try connect()?.close()) == nil {
            try #require(Moment.now < deadline, "qemu-ga does not listen")
            _ = pollDescriptors([(process.descriptor, .readable)], until: .now + .milliseconds(20))
        }
    }

    func end() {
        process.send(signal: SIGKILL)
        _ = process.waitForEnd()
    }

    private func connect() -> FileDescriptor? {
        guard let socket = try? FileDescriptor.localSocket(SOCK_STREAM, isBlocking: true) else { return nil }
        guard let address = try? LocalSocketAddress(path: self.socket), address.connect(socket) == nil else {
            try? socket.close()
            return nil
        }
        return socket
    }

    /// The replies to a client that ends after the pieces. qemu-ga reads the pieces one by one.
    ///
    /// The client reads every reply: qemu-ga exits at the end of a socket with unread replies.
    func replies(to pieces: [[UInt8]]) throws -> [UInt8] {
        let connection = try #require(connect())
        defer { try? connection.close() }
        for piece in pieces {
            try connection.writeAll(piece)
            try waitUntilRead(connection)
        }
        shutdown(connection.rawValue, CInt(SHUT_WR))
        var replies: [UInt8] = []
        while true {
            try #require(
                !pollOne(connection, events: .readable, atMost: .seconds(10)).isEmpty,
                "qemu-ga does not see the end of the client")
            let more = try readOnce(connection, atMost: 65_536)
            if more.isEmpty { return replies }
            replies += more
        }
    }

    private func waitUntilRead(_ connection: FileDescriptor) throws {
        let deadline = Moment.now + .seconds(10)
        var unread: CInt = 1
        while true {
            // SIOCOUTQ (unix(7))
            try #require(ioctl(connection.rawValue, UInt(TIOCOUTQ), &unread) == 0)
            if unread == 0 { return }
            try #require(Moment.now < deadline, "qemu-ga does not read")
            sched_yield()
        }
    }

    /// The replies up to the reply to `guest-sync-delimited` with the marker.
    func replies(to bytes: [UInt8], upTo marker: Int) throws -> [UInt8] {
        let connection = try #require(connect())
        defer { try? connection.close() }
        try connection.writeAll(bytes)
        let end = [0xFF] + Array("{\"return\": \(marker)}\n".utf8)
        var replies: [UInt8] = []
        while !replies.ends(with: end) {
            try #require(
                !pollOne(connection, events: .readable, atMost: .seconds(10)).isEmpty,
                "no reply to \(bytes), but \(String(decoding: replies, as: UTF8.self))")
            let more = try readOnce(connection, atMost: 65_536)
            try #require(!more.isEmpty, "qemu-ga ended the connection")
            replies += more
        }
        return replies
    }
}

extension [UInt8] {
    fileprivate func ends(with other: [UInt8]) -> Bool { suffix(other.count).elementsEqual(other) }
}

extension Trait where Self == ConditionTrait {
    /// - Parameter subject: The subject of the test, for the message without qemu-ga.
    static func needsQemuAgent(toTest subject: String) -> Self {
        .needs("qemu-ga (the package qemu-guest-agent)", toTest: subject) { QemuAgent.isInstalled }
    }
}
