import FreezeCore

/// An fanotify descriptor, as `/proc/PID/fdinfo` describes it (proc_pid_fdinfo(5), fs/notify/fdinfo.c).
struct FanotifyGroup: Hashable {
    /// What a mark watches.
    enum Target: Hashable {
        /// By its id in the mount table.
        case mount(UInt64)
        /// A whole filesystem, or one file or directory of it.
        case superblock(DeviceNumber)
    }

    /// What it must give its permission for. Empty if it is only told.
    let permissionTargets: Set<Target>

    /// FAN_OPEN_PERM, FAN_ACCESS_PERM, FAN_OPEN_EXEC_PERM and FAN_PRE_ACCESS (linux/fanotify.h).
    private static let permissionEvents: UInt64 = 0x1_0000 | 0x2_0000 | 0x4_0000 | 0x10_0000

    init(fdinfo: String) {
        let marks = fdinfo.split(separator: "\n").filter { $0.hasPrefix("fanotify ") }.map(Self.fields)
        permissionTargets = Set(
            marks.compactMap { mark in
                guard let mask = mark["mask"], mask & Self.permissionEvents != 0 else { return nil }
                if let mount = mark["mnt_id"] { return .mount(mount) }
                // The kernel's own form of a device number: 12 bits and 20 (linux/kdev_t.h).
                guard let device = mark["sdev"] else { return nil }
                return .superblock(
                    DeviceNumber(
                        major: UInt32(truncatingIfNeeded: device >> 20), minor: UInt32(device & 0xF_FFFF)))
            })
    }

    /// The fields of a line, `name:hexadecimal` each.
    private static func fields(_ line: Substring) -> [Substring: UInt64] {
        var fields: [Substring: UInt64] = [:]
        for part in line.split(separator: " ") {
            guard let colon = part.firstIndex(of: ":") else { continue }
            fields[part[..<colon]] = UInt64(part[part.index(after: colon)...], radix: 16)
        }
        return fields
    }
}
