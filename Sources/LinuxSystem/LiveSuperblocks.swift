import FreezeCore
import Glibc
import SystemPackage

/// The live superblocks, mounted or not, that the kernel lists in /sys/fs. Opens no device.
struct LiveSuperblocks {
    private let devices: BlockDevices

    init(paths: SystemPaths) {
        devices = BlockDevices(paths: paths)
    }

    /// The writable superblocks in none of the mount tables.
    func missing(from mounts: [MountEntry]) -> [UnreachableFilesystem] {
        let mounted = Set(mounts.map(\.device))
        let named = named().filter { mounted.isDisjoint(with: $0.devices) }
        return (named + missingBtrfs(mounts)).filter { !isReadOnly($0) }
    }

    private func named() -> [UnreachableFilesystem] {
        SuperblockLife.named.flatMap { type in
            let directory = devices.paths.sysfs.appending("fs").appending(type)
            return devices.entries(directory).compactMap { entry -> UnreachableFilesystem? in
                // Other entries are no filesystems ("features", "stats"). A superblock without an inode number has
                // just ended.
                guard let device = devices.device(kernelName: entry.string),
                    let life = SuperblockLife.inode(FilePath("\(directory)/\(entry)"))
                else { return nil }
                return UnreachableFilesystem(type: type, source: name(of: device), devices: [device], life: life)
            }
        }
    }

    /// A mount names one member of a btrfs. A mount with an unknown name may be of any btrfs, so no btrfs counts
    /// as missing.
    private func missingBtrfs(_ mounts: [MountEntry]) -> [UnreachableFilesystem] {
        let live = devices.btrfsDirectories()
        guard !live.isEmpty else { return [] }
        var mounted: Set<DeviceNumber> = []
        for source in Set(mounts.filter { $0.filesystemType == "btrfs" }.map(\.source)) {
            guard let device = devices.device(named: source) else { return [] }
            mounted.insert(device)
        }
        return live.compactMap { directory, members in
            guard mounted.isDisjoint(with: members), let life = SuperblockLife.inode(directory) else { return nil }
            let members = members.sorted()
            let source = members.first.map(name) ?? ""
            return UnreachableFilesystem(type: "btrfs", source: source, devices: members, life: life)
        }
    }

    private func name(of device: DeviceNumber) -> String {
        if let name = devices.mapperName(of: device) { return "/dev/mapper/\(name)" }
        return "/dev/\(devices.kernelName(of: device) ?? device.description)"
    }

    /// Only ext4 shows whether the superblock is read-only (/proc/fs/ext4/DEVICE/options). A read-only device takes no
    /// writes.
    private func isReadOnly(_ filesystem: UnreachableFilesystem) -> Bool {
        let areDevices = filesystem.devices.allSatisfy {
            SmallFile.text(devices.file("ro", of: $0)) == "1"
        }
        if areDevices { return true }
        guard filesystem.type == "ext4", let name = filesystem.devices.first.flatMap(devices.kernelName) else {
            return false
        }
        let entry = String(name.map { $0 == "/" ? "!" : $0 })
        let options = SmallFile.text(FilePath("\(devices.paths.proc)/fs/ext4/\(entry)/options"))
        return options?.split(separator: "\n").first == "ro"
    }
}

extension MountTables {
    /// Longer than a mount, or an unmount with little to write, has a live superblock without a table entry.
    private static let pause = Duration.seconds(1)

    /// Reads the tables, and finds live superblocks missing from all tables, twice, a second apart: a mount or an
    /// unmount in progress does not count. Looks for new namespaces in between, so must not be called while
    /// filesystems are frozen.
    ///
    /// - Parameter known: lives of superblocks to leave out.
    /// - Returns: the mounts of the last look. No superblock is unreachable if only our own table is read: other
    ///   namespaces may have the superblock mounted.
    /// - Throws: `LinuxSystemError` if a table cannot be read or parsed.
    public func readWithUnreachable(
        except known: Set<UInt64> = [], paths: SystemPaths = .live
    ) throws(LinuxSystemError) -> (mounts: [MountEntry], unreachable: [UnreachableFilesystem]) {
        let live = LiveSuperblocks(paths: paths)
        let mounts = try read()
        guard scope == .all else { return (mounts, []) }
        let first = live.missing(from: mounts).filter { $0.life.map(known.contains) != true }
        guard !first.isEmpty else { return (mounts, []) }
        usleep(UInt32(Self.pause.milliseconds * 1000))
        try findNamespaces()
        let later = try read()
        return (later, live.missing(from: later).filter(first.contains))
    }
}
