import Glibc
import SystemPackage

/// Which file it is, whatever its name: device and inode (stat(2)). The numbers may be used again, but not while the
/// file is there.
public struct FileIdentity: Hashable, Sendable {
    private let device: dev_t
    private let inode: ino_t

    public init(_ descriptor: FileDescriptor) throws(Errno) {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        (device, inode) = (status.st_dev, status.st_ino)
    }

    /// - Parameter path: A symbolic link is not followed.
    public init(_ path: FilePath) throws(Errno) {
        var status = stat()
        guard lstat(path.string, &status) == 0 else { throw Errno(rawValue: errno) }
        (device, inode) = (status.st_dev, status.st_ino)
    }
}
