import Glibc
import SystemPackage

/// What a hook wrote, up to a limit; the rest is read and thrown away, so that the hook never blocks on a full
/// pipe.
struct CapturedOutput: Sendable {
    static let limit = 64 << 10
    private static let chunk = 64 << 10
    /// No pipe holds more, unless root raised fs.pipe-max-size (pipe(7)).
    private static let pipeLimit = 1 << 20

    private var bytes: [UInt8] = []
    private(set) var isTruncated = false
    private var stateLines = StateLines()

    /// Whether a line, capped or not, was `READY`.
    var saysReady: Bool { stateLines.saysReady }
    /// Of the line `SKIP`, capped or not, empty without a reason; nil if there was none. Final at the end of the output.
    var skipReason: String? { stateLines.skipReason }

    /// Hooks write what they like: invalid UTF-8 is repaired.
    var text: String { String(decoding: bytes, as: UTF8.self) }

    enum ReadResult {
        case some(Int)
        case nothingYet
        case end
    }

    /// Reads one chunk from the pipe, which must not block.
    mutating func read(from descriptor: FileDescriptor) -> ReadResult {
        var count = 0
        do {
            let part = try [UInt8](unsafeUninitializedCapacity: Self.chunk) { buffer, filled in
                filled = try descriptor.read(into: UnsafeMutableRawBufferPointer(buffer))
            }
            count = part.count
            stateLines.scan(part)
            let room = Self.limit - bytes.count
            bytes += part.prefix(room)
            if count > room { isTruncated = true }
        } catch Errno.wouldBlock {
            return .nothingYet
        } catch {
            // EIO and the like: there is nothing more to be had.
            return .end
        }
        return count == 0 ? .end : .some(count)
    }

    /// Returns the captured output, and begins a new capture.
    mutating func drain() -> CapturedOutput {
        defer {
            bytes = []
            isTruncated = false
        }
        return self
    }

    /// Reads what the pipe holds now. Bounded, because a child that the hook left behind may go on writing for
    /// ever.
    mutating func readRest(from descriptor: FileDescriptor) {
        var total = 0
        while total < Self.pipeLimit, case .some(let count) = read(from: descriptor) { total += count }
    }
}
