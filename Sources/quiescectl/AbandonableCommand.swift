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
        let pipe = try OutputPipe()
        let readEnd = pipe.readEnd
        defer { try? readEnd.close() }
        do throws(StartFailure) {
            defer { try? pipe.writeEnd.close() }
            _ = try ChildProcess.start(
                ChildProcess.Program(
                    "/proc/self/exe", arguments: ["quiescectl"] + arguments,
                    environment: ChildProcess.ownEnvironment),
                descriptors: [.standardInput, .standardOutput, .standardError, pipe.writeEnd])
        } catch {
            throw error.errno
        }
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
