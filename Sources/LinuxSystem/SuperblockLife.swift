import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// One life of a superblock, from its first mount to its end: a device, and with btrfs even the number in mountinfo, can
/// be another filesystem's afterwards, or the same one's when it is mounted anew.
///
/// As long as a superblock lives, which it does without a mount too while it is frozen, the kernel shows it as a directory
/// in /sys/fs. No other is given that directory's inode number until the next boot (fs/kernfs/dir.c: kernfs_ino).
public enum SuperblockLife {
    /// Who names the directory by the device. jfs, reiserfs and others have none.
    static let named = ["ext4", "xfs", "f2fs", "nilfs2"]

    /// The number of the superblock that this is a mount of; nil if its filesystem shows none.
    public static func number(of mount: MountEntry, paths: SystemPaths = .live) -> UInt64? {
        let devices = BlockDevices(paths: paths)
        guard mount.device.major == 0 else { return number(on: mount.device, paths: paths) }
        guard mount.filesystemType == "btrfs", let source = devices.device(named: mount.source) else { return nil }
        return devices.btrfsDirectories().first { $0.members.contains(source) }.flatMap { inode($0.directory) }
    }

    /// The number of the superblock on a device of its own.
    public static func number(on device: DeviceNumber, paths: SystemPaths = .live) -> UInt64? {
        guard let name = BlockDevices(paths: paths).kernelName(of: device) else { return nil }
        let entry = String(name.map { $0 == "/" ? "!" : $0 })
        return named.lazy.compactMap { inode(FilePath("\(paths.sysfs)/fs/\($0)/\(entry)")) }.first
    }

    /// The devices of a btrfs; empty if that superblock lives no more.
    static func members(ofBtrfs number: UInt64, paths: SystemPaths = .live) -> [DeviceNumber] {
        BlockDevices(paths: paths).btrfsDirectories().first { inode($0.directory) == number }?.members.sorted()
            ?? []
    }

    static func inode(_ path: FilePath) -> UInt64? {
        var status = stat()
        return stat(path.string, &status) == 0 ? UInt64(status.st_ino) : nil
    }
}
