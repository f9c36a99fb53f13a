import FreezeCore
import Glibc

extension DeviceNumber {
    /// From the C library's `dev_t`; its macros (gnu_dev_major in sys/sysmacros.h) do not import.
    init(deviceType: dev_t) {
        self.init(
            major: UInt32(truncatingIfNeeded: ((deviceType >> 8) & 0xFFF) | ((deviceType >> 32) & 0xFFFF_F000)),
            minor: UInt32(truncatingIfNeeded: (deviceType & 0xFF) | ((deviceType >> 12) & 0xFFFF_FF00)))
    }
}
