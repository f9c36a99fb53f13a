import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The file of the requests that a client waits for. libvirt waits for a reply without a limit, so the next instance
/// replies in place of a daemon that died.
///
/// The file is kept open: in the window no path is looked up (P7).
struct UnansweredRequests {
    private let file: FileDescriptor
    private var written: [AgentValue?] = []

    /// - Parameter path: On a tmpfs: the file is written while filesystems are frozen.
    init(_ path: FilePath) throws(Errno) {
        file = try openDescriptor(
            path, .readWrite, options: [.create, .noFollow], permissions: .ownerReadWrite)
    }

    func close() {
        try? file.close()
    }

    /// The ids of the requests that the previous instance left, in order; nil for a request without an id.
    func left() -> [AgentValue?] {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 1 << 22 {
            let count = pread(file.rawValue, &buffer, buffer.count, off_t(bytes.count))
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        // The last line may be cut.
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return [] }
        return bytes[..<end].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).map { line in
            var reader = AgentRequestReader()
            return try? reader.read(line + [UInt8(ascii: "\n")]).first?.get()
        }
    }

    mutating func write(_ ids: [AgentValue?]) {
        guard ids != written else { return }
        written = ids
        let bytes = Array(ids.map { ($0?.encoded ?? "") + "\n" }.joined().utf8)
        // Whatever fails: only the next instance reads the file.
        _ = ftruncate(file.rawValue, 0)
        _ = pwrite(file.rawValue, bytes, bytes.count, 0)
    }
}
