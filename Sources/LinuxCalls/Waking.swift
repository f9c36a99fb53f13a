import CLinux
import FreezeCore
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

/// A timer on CLOCK_BOOTTIME that can be polled (timerfd_create(2)): it goes on through a suspend, and a moment in
/// the past makes it readable at once.
public final class BootTimer: Sendable {
    public let descriptor: FileDescriptor

    public init() throws(Errno) {
        descriptor = FileDescriptor(rawValue: try Errno.check(clinux_boot_timer()))
    }

    deinit {
        try? descriptor.close()
    }

    /// Fires at the moment; nil disarms.
    public func arm(at moment: Moment?) throws(Errno) {
        // 0 would disarm; 1 ns after boot is in the past as well.
        let nanoseconds = moment.map { max(1, $0.nanoseconds) } ?? 0
        try Errno.check(clinux_boot_timer_arm(descriptor.rawValue, nanoseconds))
    }
}

/// A counting semaphore for threads that wait without polling (sem_wait(3)).
public final class ThreadSemaphore: @unchecked Sendable {
    private let semaphore: UnsafeMutablePointer<sem_t>

    public init() {
        semaphore = .allocate(capacity: 1)
        sem_init(semaphore, 0, 0)
    }

    deinit {
        sem_destroy(semaphore)
        semaphore.deallocate()
    }

    public func signal() {
        sem_post(semaphore)
    }

    public func wait() {
        while sem_wait(semaphore) != 0 && errno == EINTR {}
    }
}
