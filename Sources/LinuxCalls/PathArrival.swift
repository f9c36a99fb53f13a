import CLinux
import Glibc
import SystemPackage

/// Tells when something may have come to a path where there was nothing (inotify(7)), without looking again and again.
///
/// It watches the directory, or as long as that is missing the nearest one above it that is there.
public final class PathArrival {
    /// Readable when something has happened that may be the arrival.
    public private(set) var descriptor: FileDescriptor
    private let path: FilePath
    /// What is awaited in the directory that is watched.
    private var awaited: FilePath.Component

    /// - Parameter path: Absolute. Look whether it is there *after* this: what came before is not told.
    /// - Throws: EMFILE, ENOSPC, ENOMEM if there are no more watches (fs.inotify.max_user_instances), EINVAL for a
    ///   path that is not absolute.
    public init(at path: FilePath) throws(Errno) {
        self.path = path
        (descriptor, awaited) = try Self.watch(path)
    }

    deinit {
        try? descriptor.close()
    }

    private static func watch(_ path: FilePath) throws(Errno) -> (FileDescriptor, FilePath.Component) {
        while true {
            let (descriptor, directory, awaited) = try watchNearest(to: path)
            // A directory that came between the look for it and the watch above it is not told: it is the nearer one.
            let next = directory.appending(awaited)
            if next == path || !isDirectory(next) { return (descriptor, awaited) }
            try? descriptor.close()
        }
    }

    private static func watchNearest(
        to path: FilePath
    ) throws(Errno) -> (FileDescriptor, directory: FilePath, awaited: FilePath.Component) {
        var directory = path
        while let awaited = directory.lastComponent, path.isAbsolute {
            directory = directory.removingLastComponent()
            do throws(Errno) {
                let watch = try Errno.check(clinux_watch_directory(directory.string))
                return (FileDescriptor(rawValue: watch), directory, awaited)
            } catch .noSuchFileOrDirectory, .notDirectory {
                continue
            }
        }
        throw .invalidArgument
    }

    private static func isDirectory(_ path: FilePath) -> Bool {
        var status = stat()
        return stat(path.string, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }

    /// Takes what has happened, and watches on.
    ///
    /// - Returns: Whether it is worth looking for the path now.
    /// - Throws: As `init(at:)`: then nothing is told any more.
    public func hasComeNearer() throws(Errno) -> Bool {
        guard try Errno.check(clinux_take_directory_events(descriptor.rawValue, awaited.string)) != 0 else {
            return false
        }
        let next = try Self.watch(path)
        try? descriptor.close()
        (descriptor, awaited) = next
        return true
    }
}
