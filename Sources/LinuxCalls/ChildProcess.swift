import CLinux
import Glibc
import SystemPackage

/// A program that runs as a child for long.
///
/// Not by swift-subprocess: while a child of that runs, it looks every second whether it was cancelled (version 1.0.2).
public enum ChildProcess {
    /// How a process ended.
    public enum End: Hashable, Sendable {
        case exited(status: CInt)
        case signalled(CInt)
    }

    /// Runs a program in a session of its own, with no signal blocked or ignored. It inherits standard error and nothing
    /// else: its standard input is the connection, its standard output leads nowhere. Blocks until it is gone and reaped.
    ///
    /// - Parameters:
    ///   - program: Its path, which is also its name.
    ///   - connection: Closed here as soon as the child has it, or never will.
    ///   - started: Told its process.
    /// - Throws: What posix_spawn(3) says of the program: ENOENT, EACCES, ENOEXEC; EAGAIN without room for a process.
    public static func run(
        _ program: FilePath, environment: [String: String], connection: FileDescriptor, started: (pid_t) -> Void
    ) throws(Errno) -> End {
        var process = pid_t()
        let variables = environment.map { strdup("\($0.key)=\($0.value)") }
        let error = program.withPlatformString { path in
            clinux_spawn(&process, path, variables + [nil], connection.rawValue)
        }
        for variable in variables { free(variable) }
        try? connection.close()
        try Errno.check(error)
        started(process)
        var status: CInt = 0
        while waitpid(process, &status, 0) < 0 && errno == EINTR {}
        // WTERMSIG and WEXITSTATUS, which are macros.
        let signal = status & 0x7f
        return signal == 0 ? .exited(status: status >> 8 & 0xff) : .signalled(signal)
    }
}

extension ChildProcess.End: CustomStringConvertible {
    public var description: String {
        switch self {
        case .exited(let status): "exit status \(status)"
        case .signalled(let number): "signal \(number)"
        }
    }
}
