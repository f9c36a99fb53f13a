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

    public var description: String { "\(major):\(minor)" }

    public static func < (left: DeviceNumber, right: DeviceNumber) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}
