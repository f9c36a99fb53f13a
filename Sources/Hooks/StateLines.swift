import Glibc

/// Looks for the lines by which a hook reports its state: `READY`, and `SKIP` or `SKIP reason`. Each stands on a line of
/// its own; the first `SKIP` counts.
struct StateLines: Sendable {
    /// Longer reasons are cut, in bytes.
    static let reasonLimit = 256
    private static let skip = Array("SKIP".utf8)

    private(set) var saysReady = false
    private var reason: String?
    /// The line so far, up to the longest that counts.
    private var line: [UInt8] = []
    private var isLineTooLong = false

    /// Of `SKIP`, empty without a reason; nil if no line says so. The last line counts without its newline, so only the
    /// whole output gives the right answer.
    var skipReason: String? { reason ?? reasonInLine }

    /// Takes the next piece of output; a line may be spread over several. Fast: a hook may write gigabytes.
    mutating func scan(_ bytes: [UInt8]) {
        bytes.withUnsafeBytes { buffer in
            guard let base = buffer.baseAddress else { return }
            var start = 0
            while start < buffer.count {
                let newline = memchr(base + start, CInt(UInt8(ascii: "\n")), buffer.count - start)
                let end = newline.map { base.distance(to: UnsafeRawPointer($0)) } ?? buffer.count
                append(UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
                if newline != nil { endLine() }
                start = end + 1
            }
        }
    }

    private mutating func append(_ bytes: UnsafeRawBufferPointer) {
        let room = Self.skip.count + 1 + Self.reasonLimit - line.count
        line.append(contentsOf: bytes.prefix(room))
        if bytes.count > room { isLineTooLong = true }
    }

    private mutating func endLine() {
        if !isLineTooLong, line.elementsEqual("READY".utf8) { saysReady = true }
        if reason == nil { reason = reasonInLine }
        line.removeAll(keepingCapacity: true)
        isLineTooLong = false
    }

    private var reasonInLine: String? {
        guard line.starts(with: Self.skip) else { return nil }
        let rest = line.dropFirst(Self.skip.count)
        guard rest.first.map({ $0 == UInt8(ascii: " ") }) ?? true else { return nil }
        // Hooks write what they like: invalid UTF-8 is repaired.
        return String(decoding: rest.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
    }
}
