import CLinux
import Glibc
import SystemPackage

/// A pipe for the input of a process (pipe2(2)): it ends when the last write end is closed. Both ends are close-on-exec
/// from the start, so that no process started meanwhile keeps it open.
public struct InputPipe: Sendable {
    /// Blocks, as programs expect of their standard input.
    public let readEnd: FileDescriptor
    public let writeEnd: FileDescriptor

    /// - Throws: EMFILE or ENFILE.
    public init() throws(Errno) {
        let pipe = try OutputPipe()
        readEnd = pipe.readEnd
        writeEnd = pipe.writeEnd
        do throws(Errno) {
            let flags = try Errno.check(fcntl(readEnd.rawValue, F_GETFL))
            try Errno.check(fcntl(readEnd.rawValue, F_SETFL, flags & ~O_NONBLOCK))
        } catch {
            close()
            throw error
        }
    }

    /// Closes both ends. Close reports only what cannot concern a pipe.
    public func close() {
        try? readEnd.close()
        try? writeEnd.close()
    }
}
