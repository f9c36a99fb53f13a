/// What the kernel still has to write, of all filesystems together.
public struct DirtyMemory: Hashable, Sendable {
    /// Bytes that wait to be written.
    public let dirty: Int64
    /// Bytes that are being written.
    public let writeback: Int64

    public init(dirty: Int64, writeback: Int64) {
        self.dirty = dirty
        self.writeback = writeback
    }

    /// - Parameter meminfo: The text of /proc/meminfo (proc_meminfo(5)).
    /// - Returns: Nil if the text has not both numbers.
    public init?(meminfo: String) {
        func bytes(_ name: String) -> Int64? {
            let line = meminfo.split(separator: "\n").first { $0.hasPrefix("\(name):") }
            return line.flatMap { Int64($0.split(separator: " ").dropFirst().first ?? "") }.map { $0 << 10 }
        }
        guard let dirty = bytes("Dirty"), let writeback = bytes("Writeback") else { return nil }
        self.init(dirty: dirty, writeback: writeback)
    }

    /// More than a healthy disk writes in a moment, so that a freeze may have waited for it.
    public var isMuch: Bool { dirty + writeback >= 64 << 20 }
}

extension DirtyMemory: CustomStringConvertible {
    /// In the names of /proc/meminfo.
    public var description: String { "Dirty \(dirty >> 20) MiB, Writeback \(writeback >> 20) MiB" }

    /// To follow a clause about what took too long.
    var clause: String {
        "/proc/meminfo has \(self): lower vm.dirty_bytes (sysctl), so that less waits to be written"
    }
}
