import Glibc
import SystemPackage

/// Reads the lines of a file from its end, so that the last one costs the same however long the file is.
struct ReverseLineReader {
    enum Line: Hashable {
        case line([UInt8])
        /// Longer than any record: not kept in memory.
        case tooLong
    }

    private static let chunkLength: Int64 = 64 * 1024

    private let descriptor: FileDescriptor
    /// What is before this offset has not been read.
    private var offset: Int64
    /// Read and not yet given out; its first line may begin before `offset`.
    private var pending: [UInt8] = []
    /// The present line is too long; its rest is passed over.
    private var isSkipping = false
    /// Where in the file the line given last begins.
    private(set) var start: Int64

    init(_ descriptor: FileDescriptor, size: Int64) {
        self.descriptor = descriptor
        offset = size
        start = size
    }

    /// The line before the one given last, without its newline; nil at the start of the file. Empty lines are left
    /// out. A last line without newline is given like any other.
    mutating func next() throws(Errno) -> Line? {
        while true {
            if let position = pending.lastIndex(of: newline) {
                let line = Array(pending[(position + 1)...])
                pending.removeSubrange(position...)
                start = offset + Int64(position) + 1
                if let line = finish(line) { return line }
            } else if offset == 0 {
                let line = pending
                pending = []
                start = 0
                return finish(line)
            } else {
                if pending.count > RecordLimit.line {
                    isSkipping = true
                    pending = []
                }
                let start = max(0, offset - Self.chunkLength)
                pending = try readBytes(descriptor, at: start, count: Int(offset - start)) + pending
                offset = start
            }
        }
    }

    private mutating func finish(_ line: [UInt8]) -> Line? {
        defer { isSkipping = false }
        if isSkipping || line.count > RecordLimit.line { return .tooLong }
        return line.isEmpty ? nil : .line(line)
    }
}

/// Reads `count` bytes at an offset; fewer only if the file has become shorter.
func readBytes(_ descriptor: FileDescriptor, at offset: Int64, count: Int) throws(Errno) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    var filled = 0
    while filled < count {
        let result = bytes.withUnsafeMutableBytes { buffer in
            pread(
                descriptor.rawValue, buffer.baseAddress?.advanced(by: filled), count - filled,
                off_t(offset) + off_t(filled))
        }
        if result < 0 && errno == EINTR { continue }
        guard result >= 0 else { throw Errno(rawValue: errno) }
        if result == 0 { break }
        filled += result
    }
    return Array(bytes[..<filled])
}
