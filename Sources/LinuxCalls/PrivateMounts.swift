import CLinux
import Glibc
import SystemPackage

/// Mounting where nobody else sees it: in a mount namespace of one thread's own, which ends with the thread
/// (unshare(2), mount(2)).
public enum PrivateMounts {
    /// Gives the calling thread a mount namespace of its own: a copy, from which nothing is passed on to others. There
    /// is no way back, so it must be a thread that was started for this.
    ///
    /// - Throws: EPERM without CAP_SYS_ADMIN.
    public static func enter() throws(Errno) {
        try Errno.check(clinux_unshare_mounts())
        try mount("none", on: "/", type: nil, flags: UInt(MS_REC) | UInt(MS_PRIVATE))
    }

    /// Covers a directory with an empty filesystem in memory.
    public static func coverWithMemory(_ directory: FilePath) throws(Errno) {
        try mount("none", on: directory, type: "tmpfs")
    }

    /// Mounts a filesystem. One that lives already is shown as it is, and not read anew.
    ///
    /// - Throws: EBUSY if the device is in use by another type of filesystem, or in another way.
    public static func mount(
        _ source: FilePath, on directory: FilePath, type: String?, flags: UInt = 0
    ) throws(Errno) {
        guard Glibc.mount(source.string, directory.string, type, flags, nil) == 0 else {
            throw Errno(rawValue: errno)
        }
    }

    /// Unmounts; the mount point goes at once, the filesystem when its last user does.
    public static func unmount(_ directory: FilePath) throws(Errno) {
        guard umount2(directory.string, CInt(MNT_DETACH)) == 0 else { throw Errno(rawValue: errno) }
    }

    /// Moves the calling thread into a private copy of a mount namespace. No mount propagates from the copy. The
    /// thread cannot go back, so use a thread started for this purpose.
    ///
    /// - Parameters:
    ///   - namespace: the open `/proc/PID/ns/mnt`; nil for the calling thread's namespace.
    ///   - proc: the mount point of procfs.
    /// - Returns: the copy's root, not opened (O_PATH), and the copy's mountinfo, to be closed by the caller.
    /// - Throws: EPERM without CAP_SYS_ADMIN and CAP_SYS_CHROOT (setns(2)).
    public static func enterCopy(
        of namespace: FileDescriptor?, proc: FilePath
    ) throws(Errno) -> (root: FileDescriptor, table: FileDescriptor) {
        // Opened first: the other namespace may have no procfs.
        let procfs = try openDescriptor(proc, .readOnly, options: .directory)
        defer { try? procfs.close() }
        if let namespace { try Errno.check(clinux_enter_mounts(namespace.rawValue)) }
        try enter()
        let readFlags = FileDescriptor.OpenOptions.closeOnExec.rawValue
        let table = try Errno.check(clinux_openat2(procfs.rawValue, "thread-self/mountinfo", readFlags, 0))
        let pathFlags = clinux_open_path | FileDescriptor.OpenOptions([.closeOnExec, .directory]).rawValue
        do throws(Errno) {
            let root = try Errno.check(clinux_openat2(procfs.rawValue, "/", pathFlags, 0))
            return (FileDescriptor(rawValue: root), FileDescriptor(rawValue: table))
        } catch {
            try? FileDescriptor(rawValue: table).close()
            throw error
        }
    }

    /// Detaches the topmost mount on an entry of a directory, without a request to the mount's filesystem
    /// (fs/namei.c: LOOKUP_MOUNTPOINT). Changes the working directory, so call on a thread in a namespace of its
    /// own.
    ///
    /// - Throws: EINVAL if the entry is no mount point, or the mount is locked, like mounts of a more privileged
    ///   user namespace (mount_namespaces(7)).
    public static func detach(_ entry: String, in directory: FileDescriptor) throws(Errno) {
        guard fchdir(directory.rawValue) == 0, umount2(entry, CInt(MNT_DETACH) | unmountNoFollow) == 0 else {
            throw Errno(rawValue: errno)
        }
    }

    /// UMOUNT_NOFOLLOW (sys/mount.h).
    private static let unmountNoFollow: CInt = 8

    /// Makes a node for a block device (mknod(2)).
    public static func makeBlockNode(_ path: FilePath, major: UInt32, minor: UInt32) throws(Errno) {
        try Errno.check(clinux_make_block_node(path.string, major, minor))
    }
}
