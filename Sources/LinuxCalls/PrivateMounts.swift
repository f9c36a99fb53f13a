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

    /// Makes a node for a block device (mknod(2)).
    public static func makeBlockNode(_ path: FilePath, major: UInt32, minor: UInt32) throws(Errno) {
        try Errno.check(clinux_make_block_node(path.string, major, minor))
    }
}
