import CLinux
import Glibc
import SystemPackage

/// A descriptor that a thread can poll and any other thread can make readable (eventfd(2)).
public final class WakeUp: Sendable {
    public let descriptor: FileDescriptor

    public init() throws(Errno) {
        descriptor = FileDescriptor(rawValue: try Errno.check(clinux_eventfd()))
    }

    deinit {
        try? descriptor.close()
    }

    public func signal() {
        var one: UInt64 = 1
        // Fails only when the counter is full: then it is readable anyway.
        _ = write(descriptor.rawValue, &one, MemoryLayout<UInt64>.size)
    }

    /// Makes it unreadable again.
    public func clear() {
        var count: UInt64 = 0
        _ = read(descriptor.rawValue, &count, MemoryLayout<UInt64>.size)
    }
}
