import Glibc
import SystemPackage

/// The kernel's line on a process, opened once, so that it can be read again when no path may be opened.
public final class HeldProcessRecord: Sendable {
    private let descriptor: FileDescriptor

    /// - Throws: ENOENT if there is no such process; EMFILE, ENFILE, ENOMEM.
    public init(of process: ProcessIdentity) throws(Errno) {
        descriptor = try openDescriptor(FilePath("/proc/\(process.processID)/stat"), .readOnly)
    }

    deinit {
        try? descriptor.close()
    }

    /// Whether its main thread is gone, though another one may still hang in the kernel: nothing of its program runs
    /// any more. False if that cannot be told.
    public var isDying: Bool {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = pread(descriptor.rawValue, &buffer, buffer.count, 0)
        // ESRCH: the process that the file was opened for is gone, whoever has its number now.
        if count < 0 { return errno == ESRCH }
        return ProcessRecord(parsing: Array(buffer[..<count]))?.isAlive == false
    }
}
