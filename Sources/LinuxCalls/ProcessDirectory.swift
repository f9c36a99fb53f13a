import CLinux
import Glibc
import SystemPackage

/// The directory of a process's thread in /proc, held open (proc_pid(5)). Look-ups reach the same thread or fail:
/// a later thread with the same id is never reached.
public final class ProcessDirectory: Sendable {
    private let descriptor: FileDescriptor

    /// - Parameters:
    ///   - threadID: A thread of the process; nil for the main thread. After the end of the main thread, look-ups
    ///     in the process's own directory fail, even if other threads live.
    ///   - proc: The mount point of procfs.
    /// - Throws: ENOENT if the thread does not exist.
    public init(_ processID: pid_t, thread threadID: pid_t? = nil, proc: FilePath = "/proc") throws(Errno) {
        descriptor = try openDescriptor(
            proc.appending("\(processID)/task/\(threadID ?? processID)"), .readOnly, options: .directory)
    }

    deinit {
        try? descriptor.close()
    }

    /// The inode number of the thread's mount namespace.
    ///
    /// - Throws: ENOENT or ESRCH if the thread has ended, EACCES if access is denied.
    public func mountNamespace() throws(Errno) -> UInt64 {
        // "mnt:[4026531841]"
        guard let inode = Self.inode(inLink: try readLink("ns/mnt", capacity: 64).string) else { throw .ioError }
        return inode
    }

    /// True if the initial user namespace owns the thread's mount namespace. In any other mount namespace, only
    /// root from outside can mount a filesystem on a block device (fs/super.c: FS_USERNS_MOUNT).
    ///
    /// - Throws: ENOENT or ESRCH if the thread has ended, EACCES if access is denied; EPERM in a user namespace
    ///   that is neither the owner nor above the owner.
    public func isMountNamespaceOfInitialUsers() throws(Errno) -> Bool {
        let namespace = try open("ns/mnt")
        defer { try? namespace.close() }
        return try Errno.check(clinux_is_owned_by_initial_users(namespace.rawValue)) == 1
    }

    /// True if the thread's root is the root of the mount namespace; false in a chroot. Opens nothing: the link's
    /// text is a path in the process's own namespace (fs/d_path.c).
    ///
    /// - Throws: ENOENT or ESRCH if the thread has ended, EACCES if access is denied.
    public func isAtNamespaceRoot() throws(Errno) -> Bool {
        // Whatever does not fit is no "/".
        try readLink("root", capacity: 4) == "/"
    }

    private func readLink(_ name: String, capacity: Int) throws(Errno) -> FilePath {
        var target = [CChar](repeating: 0, count: capacity)
        guard readlinkat(descriptor.rawValue, name, &target, capacity - 1) >= 0 else {
            throw Errno(rawValue: errno)
        }
        return FilePath(platformString: target)
    }

    /// Opens a file in the directory, or the target of a link: `mountinfo`, `root`.
    ///
    /// - Throws: ENOENT or ESRCH if the thread has ended; EINVAL for the `mountinfo` of a thread about to end
    ///   (fs/proc_namespace.c: mounts_open_common); EACCES if access is denied.
    public func open(_ name: String, options: FileDescriptor.OpenOptions = []) throws(Errno) -> FileDescriptor {
        let flags = options.union([.closeOnExec, .nonBlocking]).rawValue
        return FileDescriptor(
            rawValue: try Errno.check(clinux_openat2(descriptor.rawValue, name, flags, 0)))
    }

    /// The number in what a link of `/proc/PID/ns` says (namespaces(7)).
    public static func inode(inLink text: String) -> UInt64? {
        guard let start = text.firstIndex(of: "["), text.last == "]" else { return nil }
        return UInt64(text[text.index(after: start)...].dropLast())
    }
}
