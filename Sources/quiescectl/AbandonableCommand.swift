import ArgumentParser
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Runs a command of quiescectl in a process of its own, which is left behind if it hangs in the kernel: a process
/// ends only when its last system call has returned, and for a FITHAW behind a FIFREEZE that hangs that is never.
enum AbandonableCommand {
    /// Where the child tells its exit status; it cannot tell it by exiting.
    private static let statusDescriptor = FileDescriptor(rawValue: 3)

    /// Runs quiescectl with these arguments and the caller's output.
    ///
    /// - Returns: the status that the child gave to `finish`; nil if it did not by the deadline, or crashed.
    static func run(_ arguments: [String], until deadline: Moment) throws(Errno) -> ExitCode? {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw Errno(rawValue: errno) }
        let (readEnd, writeEnd) = (FileDescriptor(rawValue: ends[0]), FileDescriptor(rawValue: ends[1]))
        _ = fcntl(readEnd.rawValue, F_SETFD, FD_CLOEXEC)
        defer { try? readEnd.close() }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        if writeEnd != statusDescriptor {
            posix_spawn_file_actions_adddup2(&actions, writeEnd.rawValue, statusDescriptor.rawValue)
            posix_spawn_file_actions_addclose(&actions, writeEnd.rawValue)
        }
        var pointers = (["quiescectl"] + arguments).map { strdup($0) } + [nil]
        defer { for pointer in pointers { free(pointer) } }
        var child = pid_t()
        let error = posix_spawn(&child, "/proc/self/exe", &actions, nil, &pointers, environ)
        try? writeEnd.close()
        guard error == 0 else { throw Errno(rawValue: error) }
        guard !pollDescriptors([(readEnd, .readable)], until: deadline)[0].isEmpty else { return nil }
        return try readOnce(readEnd, atMost: 1).first.map { ExitCode(Int32($0)) }
    }

    /// In the child: everything is said and done, but for what hangs.
    static func finish(_ status: ExitCode) {
        fflush(nil)
        // Whoever reads the command's output to its end is not to wait for what hangs.
        if let nothing = try? openDescriptor("/dev/null", .readWrite) {
            for standard in 0...2 { dup2(nothing.rawValue, CInt(standard)) }
        }
        try? writeAll([UInt8(truncatingIfNeeded: status.rawValue)], to: statusDescriptor)
    }
}
