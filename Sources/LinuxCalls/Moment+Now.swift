import CLinux
import FreezeCore

extension Moment {
    /// Now, on CLOCK_BOOTTIME.
    public static var now: Moment {
        Moment(nanoseconds: clinux_boot_clock())
    }
}
