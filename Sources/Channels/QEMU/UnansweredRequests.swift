import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The file of the requests without a reply. libvirt waits for a reply without a limit, so after a crash the next instance
/// replies.
///
/// The file stays open, because no path is looked up in the window (P7). The first line is `cut` after a partly written
/// reply: the same client can get no other reply then.
struct UnansweredRequests {
    /// A request without a reply.
    struct Request: Hashable {
        /// Counts the requests of a port from 1; 0 for a request of the previous instance.
        let number: UInt64
        /// Nil without an id.
        let id: AgentValue?
    }

    private static let cutMark = "cut"
    private let file: FileDescriptor
    private var written: (requests: [Request], isCut: Bool)?

    /// - Parameter path: On a tmpfs: the file is written while filesystems are frozen.
    init(_ path: FilePath) throws(Errno) {
        file = try openDescriptor(
            path, .readWrite, options: [.create, .noFollow], permissions: .ownerReadWrite)
    }

    func close() {
        try? file.close()
    }

    /// The requests without a reply of the previous instance, in order, and whether a reply is cut. The requests stay in the
    /// file until the next call of ``write(_:isCut:)``.
    mutating func readPredecessor() -> (requests: [Request], isCut: Bool) {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < 1 << 22 {
            let count = pread(file.rawValue, &buffer, buffer.count, off_t(bytes.count))
            guard count > 0 else { break }
            bytes += buffer[..<count]
        }
        // The last line can be incomplete.
        guard let end = bytes.lastIndex(of: UInt8(ascii: "\n")) else { return ([], false) }
        let lines = bytes[..<end].split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        let requests = lines.dropFirst().map { line in
            var reader = AgentRequestReader()
            return Request(number: 0, id: try? reader.read(line + [UInt8(ascii: "\n")]).first?.get())
        }
        let predecessor = (requests, lines[0].elementsEqual(Self.cutMark.utf8))
        written = predecessor
        return predecessor
    }

    /// Adds requests. Call before the work for the requests begins.
    mutating func add(_ requests: [Request]) {
        let old = written?.requests ?? []
        let last = old.last?.number ?? 0
        write(old + requests.filter { $0.number > last }, isCut: written?.isCut ?? false)
    }

    /// - Parameter isCut: Whether a reply is written in part.
    mutating func write(_ requests: [Request], isCut: Bool) {
        if let written, written == (requests, isCut) { return }
        written = (requests, isCut)
        let lines = [isCut ? Self.cutMark : ""] + requests.map { $0.id?.encoded ?? "" }
        let bytes = Array(lines.map { "\($0)\n" }.joined().utf8)
        // An error has no consequence but for the next instance.
        _ = ftruncate(file.rawValue, 0)
        _ = pwrite(file.rawValue, bytes, bytes.count, 0)
    }
}
