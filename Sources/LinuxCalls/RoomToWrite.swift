import Glibc
import SystemPackage

/// Whether root can write something new in a directory. Only looks.
public enum RoomToWrite {
    /// Less than that is as good as nothing: a ledger takes more where there are many filesystems.
    private static let least: UInt64 = 64 * 1024

    /// What is in the way, or nil.
    public static func obstacle(in directory: FilePath) -> Errno? {
        let path = directory.string
        var status = stat()
        guard stat(path, &status) == 0 else { return Errno(rawValue: errno) }
        guard status.st_mode & S_IFMT == S_IFDIR else { return .notDirectory }
        // For root access(2) tells of a read-only filesystem.
        guard access(path, W_OK | X_OK) == 0 else { return Errno(rawValue: errno) }
        var room = statvfs()
        guard statvfs(path, &room) == 0 else { return Errno(rawValue: errno) }
        // A filesystem without a limit, such as a ramfs, says 0 of 0.
        let isFull = room.f_blocks > 0 && UInt64(room.f_bfree) * UInt64(room.f_frsize) < least
        let isOutOfFiles = room.f_files > 0 && room.f_ffree == 0
        return isFull || isOutOfFiles ? .noSpace : nil
    }
}
