/// A superblock's device number, as mountinfo gives it (`major:minor`). It names the superblock:
/// all mounts of one filesystem share it, btrfs subvolumes included.
public struct DeviceNumber: Hashable, Comparable, Sendable, CustomStringConvertible {
    public let major: UInt32
    public let minor: UInt32

    public init(major: UInt32, minor: UInt32) {
        self.major = major
        self.minor = minor
    }

    /// Reads `major:minor`, the form of mountinfo and of sysfs `dev` files.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt32(parts[0]), let minor = UInt32(parts[1]) else { return nil }
        self.init(major: major, minor: minor)
    }

    /// From the C library's `dev_t`. Its macros (gnu_dev_major in sys/sysmacros.h) are not imported into Swift.
    public init(deviceType: UInt) {
        self.init(
            major: UInt32(truncatingIfNeeded: ((deviceType >> 8) & 0xFFF) | ((deviceType >> 32) & 0xFFFF_F000)),
            minor: UInt32(truncatingIfNeeded: (deviceType & 0xFF) | ((deviceType >> 12) & 0xFFFF_FF00)))
    }

    public var description: String { "\(major):\(minor)" }

    public static func < (left: DeviceNumber, right: DeviceNumber) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}
