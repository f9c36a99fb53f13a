import CLinux
import Glibc
import SystemPackage

/// The root of a mount namespace, held without opening it (O_PATH). It is not the root of a process: that may be a
/// chroot.
public final class MountNamespaceRoot: Sendable {
    private let descriptor: FileDescriptor

    /// Enters the mount namespace of a process, and stays in it. There is no way back, so it must be called on a thread
    /// that was started for this. It can hang if the namespace's root is on a dead server.
    ///
    /// - Parameters:
    ///   - inode: the namespace that the process has to be in.
    ///   - proc: where procfs is mounted.
    /// - Returns: the namespace's root, and its whole mountinfo, which the caller closes.
    /// - Throws: ENOENT or ESRCH if the process has ended or moved on; EPERM without CAP_SYS_ADMIN and CAP_SYS_CHROOT
    ///   (setns(2)).
    public static func enter(
        _ inode: UInt64, of process: ProcessDirectory, proc: FilePath
    ) throws(Errno) -> (root: MountNamespaceRoot, table: FileDescriptor) {
        // Opened before: there may be no procfs where this leads to.
        let procfs = try openDescriptor(proc, .readOnly, options: .directory)
        defer { try? procfs.close() }
        let namespace = try process.open("ns/mnt")
        defer { try? namespace.close() }
        var status = stat()
        guard fstat(namespace.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        guard UInt64(status.st_ino) == inode else { throw .noSuchFileOrDirectory }

        try Errno.check(clinux_enter_mounts(namespace.rawValue))
        let flags = clinux_open_path | FileDescriptor.OpenOptions([.closeOnExec, .directory]).rawValue
        let root = MountNamespaceRoot(try Errno.check(clinux_openat2(procfs.rawValue, "/", flags, 0)))
        let table = try Errno.check(
            clinux_openat2(
                procfs.rawValue, "thread-self/mountinfo", FileDescriptor.OpenOptions.closeOnExec.rawValue, 0))
        return (root, FileDescriptor(rawValue: table))
    }

    private init(_ descriptor: CInt) {
        self.descriptor = FileDescriptor(rawValue: descriptor)
    }

    deinit {
        try? descriptor.close()
    }

    /// Opens it for reading, to look paths up from. The caller closes it.
    public func open() throws(Errno) -> FileDescriptor {
        let flags = FileDescriptor.OpenOptions([.closeOnExec, .directory, .nonBlocking]).rawValue
        return FileDescriptor(rawValue: try Errno.check(clinux_openat2(descriptor.rawValue, ".", flags, 0)))
    }
}
