import CLinux
import SystemPackage

extension FileDescriptor {
    /// The id of the mount this descriptor lies on, as in mountinfo (statx(2), STATX_MNT_ID; Linux 5.8).
    public func mountID() throws(Errno) -> UInt64 {
        var identifier: UInt64 = 0
        try Errno.check(clinux_mount_id(rawValue, &identifier))
        return identifier
    }
}

extension FilePath {
    /// Whether the path lies on a filesystem that lives in memory and has no freeze (tmpfs or ramfs, by statfs(2)).
    public func isOnMemoryFilesystem() throws(Errno) -> Bool {
        try Errno.check(clinux_is_on_memory_filesystem(string)) == 1
    }
}
