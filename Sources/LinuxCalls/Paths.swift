import CLinux
import Glibc
import SystemPackage

/// The names in a directory, but for `.` and `..`, in the order the filesystem gives them. They need not be UTF-8.
public func directoryEntries(_ path: FilePath) throws(Errno) -> [FilePath.Component] {
    guard let stream = path.withPlatformString({ opendir($0) }) else { throw Errno(rawValue: errno) }
    defer { closedir(stream) }
    var entries: [FilePath.Component] = []
    while true {
        // The only way to tell the end from an error (readdir(3)).
        errno = 0
        guard let entry = readdir(stream) else {
            guard errno == 0 else { throw Errno(rawValue: errno) }
            return entries
        }
        let name = withUnsafePointer(to: &entry.pointee.d_name) { field in
            field.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: field.pointee)) {
                FilePath.Component(platformString: $0)
            }
        }
        if let name, name.kind == .regular { entries.append(name) }
    }
}

/// What a symbolic link leads to, as it is written there (readlink(2)). In `/proc/PID/fd` it need not be a path.
///
/// - Throws: EINVAL if it is no symbolic link.
public func readSymbolicLink(_ path: FilePath) throws(Errno) -> FilePath {
    // One longer than what readlink(2) may fill, so that it always ends in a zero.
    var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
    guard path.withPlatformString({ readlink($0, &target, Int(PATH_MAX)) }) >= 0 else {
        throw Errno(rawValue: errno)
    }
    return FilePath(platformString: target)
}

extension FilePath {
    /// Whether the path lies on a filesystem that lives in memory and has no freeze (tmpfs or ramfs, by statfs(2)).
    public func isOnMemoryFilesystem() throws(Errno) -> Bool {
        try Errno.check(clinux_is_on_memory_filesystem(string)) == 1
    }
}
