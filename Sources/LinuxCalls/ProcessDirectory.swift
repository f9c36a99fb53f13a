import CLinux
import Glibc
import SystemPackage

/// The directory of a process's thread in /proc, held open (proc_pid(5)). It leads to this life of the thread or to
/// nothing: never to another one that got the same id.
public final class ProcessDirectory: Sendable {
    public let processID: pid_t
    public let threadID: pid_t
    private let descriptor: FileDescriptor

    /// - Parameters:
    ///   - threadID: One of its threads; nil for the main thread. After the end of the main thread the process's own
    ///     directory leads to nothing any more, though other threads live.
    ///   - proc: Where procfs is mounted.
    /// - Throws: ENOENT if there is no such thread.
    public init(_ processID: pid_t, thread threadID: pid_t? = nil, proc: FilePath = "/proc") throws(Errno) {
        self.processID = processID
        self.threadID = threadID ?? processID
        descriptor = try openDescriptor(
            proc.appending("\(processID)/task/\(self.threadID)"), .readOnly, options: .directory)
    }

    deinit {
        try? descriptor.close()
    }

    /// The inode number of the mount namespace it is in.
    ///
    /// - Throws: ENOENT or ESRCH if it has ended, EACCES if it may not be looked at.
    public func mountNamespace() throws(Errno) -> UInt64 {
        // "mnt:[4026531841]"
        guard let inode = Self.inode(inLink: try readLink("ns/mnt", capacity: 64).string) else { throw .ioError }
        return inode
    }

    /// Whether its mount namespace is owned by the initial user namespace: in another one no filesystem can be mounted
    /// that needs a block device, but by root from outside (fs/super.c: FS_USERNS_MOUNT).
    ///
    /// - Throws: ENOENT or ESRCH if it has ended, EACCES if it may not be looked at; EPERM in a user namespace that is not
    ///   the owner or above it.
    public func isMountNamespaceOfInitialUsers() throws(Errno) -> Bool {
        let namespace = try open("ns/mnt")
        defer { try? namespace.close() }
        return try Errno.check(clinux_is_owned_by_initial_users(namespace.rawValue)) == 1
    }

    /// Whether its root is the one of its mount namespace, or a chroot. Opens nothing: the link's text is a path in the
    /// process's own namespace (fs/d_path.c).
    ///
    /// - Throws: ENOENT or ESRCH if it has ended, EACCES if it may not be looked at.
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

    /// Opens one of the files in it, or what its link leads to: `mountinfo`, `root`.
    ///
    /// - Throws: ENOENT or ESRCH if it has ended; EINVAL for the `mountinfo` of one that is about to
    ///   (fs/proc_namespace.c: mounts_open_common); EACCES if it may not be looked at.
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
