import CLinux
import SystemPackage

/// FIFREEZE and FITHAW (fs/ioctl.c, man fsfreeze). The state is in the superblock: it outlives descriptor and process.
public enum FilesystemFreezing {
    /// Freezes the filesystem the descriptor lies on. Blocks, uninterruptibly, until every writer is out and
    /// everything is flushed.
    ///
    /// - Throws: EBUSY if it is frozen already or being frozen, EOPNOTSUPP if it has no freeze, EPERM without
    ///   CAP_SYS_ADMIN, EIO or EROFS if flushing failed.
    public static func freeze(_ descriptor: FileDescriptor) throws(Errno) {
        try Errno.check(clinux_freeze(descriptor.rawValue))
    }

    /// Thaws the filesystem the descriptor lies on. Can block while a freeze is in progress.
    ///
    /// - Throws: EINVAL if it is not frozen (or its freeze has not finished yet).
    public static func thaw(_ descriptor: FileDescriptor) throws(Errno) {
        try Errno.check(clinux_thaw(descriptor.rawValue))
    }

    /// Writes out everything dirty of the filesystem the descriptor lies on (syncfs(2)). Blocks for as long as its
    /// device takes.
    ///
    /// - Throws: EIO, ENOSPC or EDQUOT if something could not be written.
    public static func flush(_ descriptor: FileDescriptor) throws(Errno) {
        try Errno.check(clinux_syncfs(descriptor.rawValue))
    }

    /// Writes out all dirty data of the descriptor's block device, and empties the device's own cache
    /// (block/fops.c: blkdev_fsync). syncfs would flush the filesystem of the device's node.
    ///
    /// - Throws: EIO or ENOSPC if some data could not be written.
    public static func flushDevice(_ descriptor: FileDescriptor) throws(Errno) {
        try Errno.check(clinux_fsync(descriptor.rawValue))
    }
}
