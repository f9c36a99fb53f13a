import CLinux
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A file on the walk along a path, held by a descriptor. No process can replace the file. Holding the file sends
/// no request to the filesystem's server (O_PATH, open(2)).
final class PathPlace {
    let path: FilePath
    private let descriptor: FileDescriptor
    private let mountID: UInt64

    /// `/`.
    static func root() throws(Errno) -> PathPlace {
        try PathPlace("/", try open("/", at: FileDescriptor(rawValue: AT_FDCWD), 0))
    }

    private init(_ path: FilePath, _ descriptor: FileDescriptor) throws(Errno) {
        self.path = path
        self.descriptor = descriptor
        do throws(Errno) {
            mountID = try Self.mountID(of: descriptor)
        } catch {
            try? descriptor.close()
            throw error
        }
    }

    deinit {
        try? descriptor.close()
    }

    /// The directory's entry with the given name; nil if missing. A symbolic link is not followed. Sends a request
    /// to the server of the directory's filesystem.
    func child(_ name: FilePath.Component) throws(Errno) -> PathPlace? {
        let path = path.appending(name)
        let name = FilePath(root: nil, [name])
        let descriptor: FileDescriptor
        do throws(Errno) {
            descriptor = try Self.open(name, at: self.descriptor, 0)
        } catch .noSuchFileOrDirectory {
            return nil
        }
        let child = try PathPlace(path, descriptor)
        // O_DIRECTORY triggers the automount, as on the way to a file below.
        guard child.mountID != mountID, try child.filesystemType() == "autofs" else { return child }
        return try PathPlace(path, try Self.open(name, at: self.descriptor, O_DIRECTORY))
    }

    private static func open(
        _ path: FilePath, at directory: FileDescriptor, _ flags: CInt
    ) throws(Errno) -> FileDescriptor {
        let flags = clinux_open_path | O_NOFOLLOW | O_CLOEXEC | flags
        let result = path.withPlatformString { openat(directory.rawValue, $0, flags) }
        guard result >= 0 else { throw Errno(rawValue: errno) }
        return FileDescriptor(rawValue: result)
    }

    func isOnSameMount(as other: PathPlace) -> Bool { mountID == other.mountID }

    /// Blocks as the filesystem's server does.
    func status() throws(Errno) -> stat {
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0 else { throw Errno(rawValue: errno) }
        return status
    }

    /// The target of a symbolic link.
    func target() throws(Errno) -> FilePath {
        var target = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        guard readlinkat(descriptor.rawValue, "", &target, Int(PATH_MAX)) >= 0 else {
            throw Errno(rawValue: errno)
        }
        return FilePath(platformString: target)
    }

    /// The type of the filesystem as in mountinfo, such as `ext4` or `fuse.sshfs`. statfs(2) would send a request
    /// to the filesystem's server.
    func filesystemType() throws(Errno) -> String {
        // The descriptor keeps the mount alive, so no other mount can get the number.
        let table = try readWholeFile("/proc/thread-self/mountinfo", limit: 64 << 20)
        // The mount was unmounted lazily meanwhile.
        guard let type = Self.filesystemType(ofMount: mountID, in: table) else { throw .staleNFSFileHandle }
        return type
    }

    /// - Parameter table: The text of `/proc/PID/mountinfo`. Fields cannot be forged: the kernel escapes blanks in
    ///   names.
    static func filesystemType(ofMount mountID: UInt64, in table: [UInt8]) -> String? {
        let start = Array("\(mountID) ".utf8)
        let line = table.split(separator: UInt8(ascii: "\n")).first { $0.starts(with: start) }
        guard let fields = line?.split(separator: UInt8(ascii: " "), omittingEmptySubsequences: false),
            fields.count > 6, let end = fields[6...].firstIndex(where: { $0.elementsEqual("-".utf8) }),
            end + 1 < fields.count
        else { return nil }
        return String(decoding: fields[end + 1], as: UTF8.self)
    }

    /// The mount id from fdinfo. FUSE refuses statx(2) to users without access to the mount, including root.
    private static func mountID(of descriptor: FileDescriptor) throws(Errno) -> UInt64 {
        let notes = try readWholeFile(FilePath("/proc/thread-self/fdinfo/\(descriptor.rawValue)"))
        for line in notes.split(separator: UInt8(ascii: "\n")) {
            let fields = line.split(separator: UInt8(ascii: "\t"))
            guard fields.count == 2, fields[0].elementsEqual("mnt_id:".utf8) else { continue }
            if let mountID = UInt64(String(decoding: fields[1], as: UTF8.self)) { return mountID }
        }
        throw .ioError
    }
}
