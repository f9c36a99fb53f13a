import CLinux
import FreezeCore
import SystemPackage

extension Moment {
    /// Now, on CLOCK_BOOTTIME.
    public static var now: Moment {
        Moment(nanoseconds: clinux_boot_clock())
    }
}

extension WallClock {
    /// Reads CLOCK_BOOTTIME and CLOCK_REALTIME (`clock_gettime(2)`).
    public static func current() -> WallClock {
        WallClock(moment: .now, wallTime: WallTime(milliseconds: clinux_wall_clock() / 1_000_000))
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
