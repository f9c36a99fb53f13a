import CLinux
import SystemPackage

extension FilePath {
    /// Whether the path lies on a filesystem that lives in memory and has no freeze (tmpfs or ramfs, by statfs(2)).
    public func isOnMemoryFilesystem() throws(Errno) -> Bool {
        try Errno.check(clinux_is_on_memory_filesystem(string)) == 1
    }
}
