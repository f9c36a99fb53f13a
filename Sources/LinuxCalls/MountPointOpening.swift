import CLinux
import SystemPackage

/// openat2(2) and statx(2) for mount points whose paths others have chosen.
public enum MountPointOpening {
    /// How long an open may take.
    public enum Patience: Sendable, Hashable {
        /// Only what the kernel has in its cache (RESOLVE_CACHED, Linux 5.12): waits for nobody.
        case cacheOnly
        /// Whatever the look-up needs.
        case mayBlock
    }

    /// Finds a mount point without opening it (O_PATH), so no filesystem gets a request for the mount
    /// point. Looks below `root`, and through no symbolic link.
    ///
    /// - Parameter root: the directory in place of `/`.
    /// - Throws: EAGAIN if the cache does not suffice, EINVAL if the kernel does not know `cacheOnly`, ELOOP for a
    ///   symbolic link, ENOTDIR if a required directory is no directory, and all errors of open(2).
    public static func find(
        _ path: FilePath, below root: FileDescriptor, mustBeDirectory: Bool, patience: Patience
    ) throws(Errno) -> FileDescriptor {
        var options: FileDescriptor.OpenOptions = [.closeOnExec]
        if mustBeDirectory { options.insert(.directory) }
        var resolve = clinux_resolve_in_root | clinux_resolve_no_symlinks | clinux_resolve_no_magic_links
        if patience == .cacheOnly { resolve |= clinux_resolve_cached }
        let flags = clinux_open_path | options.rawValue
        while true {
            let result = path.withPlatformString { clinux_openat2(root.rawValue, $0, flags, resolve) }
            let errno: Errno
            do {
                return FileDescriptor(rawValue: try Errno.check(result))
            } catch {
                errno = error
            }
            if errno != .interrupted { throw errno }
        }
    }

    /// Opens the found file for reading, without waiting for a device or a FIFO to become ready.
    ///
    /// - Throws: ENXIO for a socket, and all errors of open(2).
    public static func open(found descriptor: FileDescriptor) throws(Errno) -> FileDescriptor {
        try openDescriptor(FilePath("/proc/self/fd/\(descriptor.rawValue)"), .readOnly, options: .nonBlocking)
    }

    /// The id of the mount a descriptor lies on, as in mountinfo.
    ///
    /// - Throws: ENOSYS before Linux 5.8.
    public static func mountID(of descriptor: FileDescriptor) throws(Errno) -> UInt64 {
        var mountID: UInt64 = 0
        try Errno.check(clinux_mount_id(descriptor.rawValue, &mountID))
        return mountID
    }
}
