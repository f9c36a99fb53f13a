import Foundation
import LinuxCalls
import SystemPackage

/// A program started in a terminal. The program leads a session whose controlling terminal is a pty of the test.
///
/// Killed when the last reference goes; the terminal then hangs up. For one test at a time.
final class TerminalProgram: @unchecked Sendable {
    let processIdentifier: pid_t
    private let master: FileDescriptor
    private let lock = NSLock()
    private var screen = Data()
    private var ending: CInt?
    /// Whether the last process has closed the terminal, and all output is read.
    private var isClosed = false

    init(_ path: FilePath, _ arguments: [String], environment: [String: String]) throws {
        let (master, device) = try RawTerminal.makePair()
        try Self.makeUsual(master)
        var actions = posix_spawn_file_actions_t()
        var attributes = posix_spawnattr_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        // The first terminal opened by a session's leader becomes the session's controlling terminal. Glibc does
        // not import POSIX_SPAWN_SETSID.
        posix_spawnattr_setflags(&attributes, 0x80)
        posix_spawn_file_actions_addopen(&actions, 0, device.string, O_RDWR, 0)
        posix_spawn_file_actions_adddup2(&actions, 0, 1)
        posix_spawn_file_actions_adddup2(&actions, 0, 2)
        var argumentPointers = ([path.string] + arguments).map { strdup($0) } + [nil]
        var environmentPointers = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
        defer { (argumentPointers + environmentPointers).forEach { free($0) } }
        var process = pid_t()
        let error = posix_spawnp(
            &process, path.string, &actions, &attributes, &argumentPointers, &environmentPointers)
        guard error == 0 else {
            try master.close()
            throw Errno(rawValue: error)
        }
        processIdentifier = process
        self.master = master
        // Ends after the last process has closed the terminal (EIO).
        let terminal = dup(master.rawValue)
        Thread.detachNewThread { [weak self] in
            withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 1) { buffer in
                while case let count = read(terminal, buffer.baseAddress, buffer.count), count > 0 {
                    self?.append(Data(buffer[..<count]))
                }
            }
            close(terminal)
            self?.noteClosed()
        }
    }

    /// Line editing, echo and Ctrl-C, as in a shell.
    private static func makeUsual(_ master: FileDescriptor) throws {
        var settings = termios()
        guard tcgetattr(master.rawValue, &settings) == 0 else { throw Errno(rawValue: errno) }
        settings.c_lflag |= tcflag_t(ISIG | ICANON | ECHO)
        settings.c_iflag |= tcflag_t(ICRNL)
        settings.c_oflag |= tcflag_t(OPOST | ONLCR)
        guard tcsetattr(master.rawValue, TCSANOW, &settings) == 0,
            fcntl(master.rawValue, F_SETFL, fcntl(master.rawValue, F_GETFL) & ~O_NONBLOCK) == 0
        else { throw Errno(rawValue: errno) }
    }

    deinit {
        if ending == nil {
            kill(processIdentifier, SIGKILL)
            waitpid(processIdentifier, nil, 0)
        }
        try? master.close()
    }

    /// The terminal's output so far.
    var text: String { lock.withLock { String(decoding: screen, as: UTF8.self) } }

    private func append(_ data: Data) { lock.withLock { screen.append(data) } }

    private func noteClosed() { lock.withLock { isClosed = true } }

    /// Types text at the terminal.
    func type(_ text: String) throws { try master.writeAll(text.utf8) }

    func waitForText(_ wanted: String, within limit: Duration = .seconds(10)) throws {
        try wait(for: "\(wanted) on the terminal: \(text)", within: limit) { text.contains(wanted) }
    }

    /// Returns once the output is read, too, unless another process keeps the terminal open.
    ///
    /// - Returns: The exit status; 128 and the signal for a killed program.
    func waitForExit(within limit: Duration = .seconds(20)) throws -> CInt {
        try wait(for: "the end of the program in the terminal, which shows: \(text)", within: limit) {
            var status: CInt = 0
            guard waitpid(processIdentifier, &status, WNOHANG) == processIdentifier else { return false }
            ending = status & 0x7F == 0 ? (status >> 8) & 0xFF : 128 + status & 0x7F
            return true
        }
        try? wait(for: "the end of the output", within: .seconds(2)) { lock.withLock { isClosed } }
        return ending ?? -1
    }
}
