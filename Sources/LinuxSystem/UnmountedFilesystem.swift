import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A filesystem that was frozen when its last mount went away: it is in no mount table, and lives on, frozen, in its
/// device. Mounted again, the device shows the same superblock (fs/super.c: sget_dev).
public enum UnmountedFilesystem {
    /// What became of the filesystem on a device.
    public enum Finding<Result: Sendable>: Sendable {
        /// None lives on the device, so none is frozen.
        case gone
        /// One lives, and this was done with it.
        case reached(Result)
        /// Something uses the device, and what it is cannot be told.
        case unknown
    }

    /// Mounts the filesystem on a device, if one lives there, where nobody else sees it.
    ///
    /// Blocks as long as the device does, and changes its thread for good: run it on one of its own.
    ///
    /// - Parameters:
    ///   - life: which superblock, if that is known: a btrfs is found by it, for its number leads to no device.
    ///   - directory: one that is there, to mount over.
    ///   - body: is given the filesystem's root.
    /// - Throws: what the system refused: EPERM without root.
    public static func reach<Result: Sendable>(
        _ device: DeviceNumber, life: UInt64?, over directory: FilePath, _ body: (FileDescriptor) -> Result
    ) throws(Errno) -> Finding<Result> {
        var device = device
        if device.major == 0 {
            // A filesystem on several devices has a number that leads to none of them.
            guard let life else { return .unknown }
            guard let member = SuperblockLife.members(ofBtrfs: life).first else { return .gone }
            device = member
        }
        try PrivateMounts.enter()
        try PrivateMounts.coverWithMemory(directory)
        defer { try? PrivateMounts.unmount(directory) }
        let node = directory.appending("device")
        try PrivateMounts.makeBlockNode(node, major: device.major, minor: device.minor)
        guard try isInUse(node) else { return .gone }

        // Whatever uses the device keeps a mount from reading it anew: that could write to it, and would find nothing
        // frozen. So with the wrong type, or if it is no filesystem that uses it, nothing happens (EBUSY).
        let mountPoint = directory.appending("mount")
        guard mkdir(mountPoint.string, 0o700) == 0 else { throw Errno(rawValue: errno) }
        for type in freezableTypes() {
            do throws(Errno) {
                try PrivateMounts.mount(node, on: mountPoint, type: type)
            } catch {
                continue
            }
            defer { try? PrivateMounts.unmount(mountPoint) }
            let root = try openDescriptor(mountPoint, .readOnly, options: .directory)
            defer { try? root.close() }
            return .reached(body(root))
        }
        return .unknown
    }

    /// Whether a filesystem, or anything else, has taken the device for itself alone (open(2), O_EXCL).
    private static func isInUse(_ node: FilePath) throws(Errno) -> Bool {
        do throws(Errno) {
            let descriptor = try openDescriptor(node, .readOnly, options: [.exclusiveCreate, .nonBlocking])
            try? descriptor.close()
            return false
        } catch .resourceBusy {
            return true
        } catch .noSuchAddressOrDevice {
            // The device itself is gone. A frozen filesystem would have kept it.
            return false
        }
    }

    /// The types that are known to the kernel at this moment: one that lives has its driver loaded.
    private static func freezableTypes() -> [String] {
        let lines = (SmallFile.text("/proc/filesystems") ?? "").split(separator: "\n")
        // "nodev\tproc" or "\text4"
        return lines.filter { $0.hasPrefix("\t") }.map { String($0.dropFirst()) }.filter(MountEntry.isFreezable)
    }
}
