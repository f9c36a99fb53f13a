import Foundation
import LinuxCalls
import SystemPackage
import Testing

/// A program of an unprivileged user, asleep inside a write (Tests/WriteHolder), and the means to end the program.
final class WriteHolderProgram {
    enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
        case splice, mapped, mappedAsync = "mapped-async", overlay, detached
        var testDescription: String { rawValue }

        /// True if the write waits for a FUSE server: the kernel releases a killed task only after the server's
        /// answer.
        var waitsForServer: Bool { self == .mapped || self == .mappedAsync }
        /// True if the argument is a directory. The program makes a file in the directory.
        fileprivate var needsDirectory: Bool { self == .overlay || self == .detached }
    }

    static let user = 65534
    private static let program = "/quiesce/lib/write-holder"
    private static let connections = "/sys/fs/fuse/connections"

    let process: RunningProgram
    let directory: FilePath
    private let earlierConnections: Set<String>

    /// Makes a directory of the user on the filesystem, and returns when the program sleeps in a write.
    convenience init(_ kind: Kind, on filesystem: ScratchFilesystem) throws {
        try self.init(kind.rawValue, needsDirectory: kind.needsDirectory, on: filesystem)
        let process = process.processIdentifier
        try wait(for: "the sleep of \(kind)") {
            let function = try String(contentsOfFile: "/proc/\(process)/wchan", encoding: .utf8)
            return function.hasPrefix("pipe_wait") || function.hasPrefix("request_wait")
                || function.hasPrefix("folio_wait")
        }
    }

    /// A program woken by a byte five times a second.
    convenience init(tricklingOn filesystem: ScratchFilesystem) throws {
        try self.init("trickle", needsDirectory: false, on: filesystem)
    }

    private init(_ kind: String, needsDirectory: Bool, on filesystem: ScratchFilesystem) throws {
        try Self.prepareFUSE()
        directory = filesystem.mountPoint.appending("of-the-user")
        try RunningProgram.output(of: "mkdir", ["-p", directory.string])
        try RunningProgram.output(of: "chown", ["\(Self.user):\(Self.user)", directory.string])
        earlierConnections = Self.openConnections
        let path = needsDirectory ? directory : directory.appending("held")
        process = try RunningProgram(
            "setpriv", Self.identity + [Self.program, kind, path.string])
        try process.waitForLine(in: .output) { $0 == "ready" }
    }

    deinit { try? end() }

    /// A program of the user with `count` sleeping threads.
    static func threads(_ count: Int) throws -> RunningProgram {
        let program = try RunningProgram("setpriv", identity + [Self.program, "threads", "\(count)"])
        try program.waitForLine(in: .output, within: .seconds(30)) { $0 == "ready" }
        return program
    }

    private static let identity = ["--reuid=\(user)", "--regid=\(user)", "--clear-groups"]

    private static func prepareFUSE() throws {
        try RunningProgram.output(
            of: "sh",
            [
                "-ec",
                """
                [ -e /dev/fuse ] || mknod /dev/fuse c 10 229
                chmod 666 /dev/fuse
                mkdir -p \(connections)
                mountpoint -q \(connections) || mount -t fusectl none \(connections)
                """,
            ])
    }

    private static var openConnections: Set<String> {
        Set((try? FileManager.default.contentsOfDirectory(atPath: connections)) ?? [])
    }

    /// Follows the remedy: `kill`, and the end of the awaited FUSE server.
    func end() throws {
        process.send(SIGTERM)
        if (try? process.waitForExit(within: .milliseconds(500))) != nil { return }
        process.send(SIGKILL)
        for connection in Self.openConnections.subtracting(earlierConnections) {
            try Data("1".utf8).write(to: URL(fileURLWithPath: "\(Self.connections)/\(connection)/abort"))
        }
        try process.waitForExit()
    }
}
