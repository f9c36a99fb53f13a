import Glibc
import LinuxCalls
import SystemPackage

/// A file for parsers that want one, in memory where there is /dev/shm. It is filled anew for each input, and goes
/// away with its owner.
final class ScratchFile: Sendable {
    let path: FilePath
    let descriptor: FileDescriptor

    init() throws {
        let directory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp"
        var template = Array("\(directory)/quiesce-fuzz-XXXXXX".utf8CString)
        let number = mkstemp(&template)
        guard number >= 0 else { throw Errno(rawValue: errno) }
        descriptor = FileDescriptor(rawValue: number)
        path = FilePath(platformString: template)
    }

    deinit {
        try? descriptor.close()
        unlink(path.string)
    }

    func fill(with bytes: [UInt8]) throws {
        guard ftruncate(descriptor.rawValue, 0) == 0 else { throw Errno(rawValue: errno) }
        try descriptor.seek(offset: 0, from: .start)
        try writeAll(bytes, to: descriptor)
    }
}
