import Glibc
import LinuxCalls
import SystemPackage
import Testing

/// A Python program in a separate process.
final class ChildProgram {
    let input: FileDescriptor
    let output: FileDescriptor
    private let process: pid_t
    private var status: CInt?

    init(_ script: String, _ arguments: FilePath...) throws {
        let words = ["python3", "-c", script] + arguments.map(\.string)
        var (down, up): ([CInt], [CInt]) = ([0, 0], [0, 0])
        let areMade = pipe(&down) == 0 && pipe(&up) == 0
        try #require(areMade)
        for end in down + up { try #require(fcntl(end, F_SETFD, FD_CLOEXEC) == 0) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, down[0], 0)
        posix_spawn_file_actions_adddup2(&actions, up[1], 1)
        var pointers = words.map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var process: pid_t = 0
        let error = posix_spawnp(&process, words[0], &actions, nil, &pointers, environ)
        try #require(error == 0, "\(words[0]): \(Errno(rawValue: error))")
        close(down[0])
        close(up[1])
        self.process = process
        input = FileDescriptor(rawValue: down[1])
        output = FileDescriptor(rawValue: up[0])
    }

    deinit {
        try? input.close()
        try? output.close()
        if status == nil { kill(process, SIGKILL) }
        _ = wait()
    }

    var isRunning: Bool {
        guard status == nil else { return false }
        var new: CInt = 0
        if waitpid(process, &new, WNOHANG) == process { status = new }
        return status == nil
    }

    @discardableResult
    func wait() -> CInt {
        if let status { return status }
        var new: CInt = 0
        waitpid(process, &new, 0)
        status = new
        return new
    }
}

/// A lock that another process holds until `release()`.
struct LockHolder {
    private let program: ChildProgram

    /// - Parameter lock: `flock` or `lockf`: flock(2), or a POSIX lock (fcntl(2)), as Python calls them.
    init(_ lock: String, _ path: FilePath) throws {
        program = try ChildProgram(
            """
            import fcntl, sys
            pool = open(sys.argv[1], "r+b")
            fcntl.\(lock)(pool, fcntl.LOCK_EX)
            print("held", flush=True)
            sys.stdin.read()
            """, path)
        let line = try readOnce(program.output, atMost: 100)
        try #require(line.starts(with: Array("held".utf8)))
    }

    func release() {
        try? program.input.close()
        program.wait()
    }

    static func isFree(_ lock: String, _ path: FilePath) throws -> Bool {
        let program = try ChildProgram(
            """
            import fcntl, sys
            pool = open(sys.argv[1], "r+b")
            try:
                fcntl.\(lock)(pool, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                sys.exit(7)
            """, path)
        return program.wait() == 0
    }
}
