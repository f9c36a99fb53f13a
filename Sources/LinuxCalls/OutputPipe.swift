import CLinux
import SystemPackage

/// A pipe for the output of a process (pipe2(2)). Both ends are close-on-exec from the start, so that no
/// process started meanwhile inherits them.
public struct OutputPipe: Sendable {
    /// Does not block.
    public let readEnd: FileDescriptor
    /// Blocks, as programs expect of their standard output.
    public let writeEnd: FileDescriptor

    /// - Throws: EMFILE or ENFILE.
    public init() throws(Errno) {
        var reading: CInt = -1
        var writing: CInt = -1
        try Errno.check(clinux_pipe(&reading, &writing))
        readEnd = FileDescriptor(rawValue: reading)
        writeEnd = FileDescriptor(rawValue: writing)
    }

    /// Closes both ends. Close reports only what cannot concern a pipe.
    public func close() {
        try? readEnd.close()
        try? writeEnd.close()
    }
}
