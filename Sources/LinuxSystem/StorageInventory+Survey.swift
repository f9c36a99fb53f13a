import FreezeCore
import SystemPackage

extension StorageInventory {
    /// Looks at the machine: the mount tables, udev's database, sysfs, and devices udev does not know. Opens no mount
    /// point. Waits for a device that does not answer no longer than 2 s, and notes it.
    ///
    /// Blocks: give it a thread.
    ///
    /// - Parameters:
    ///   - tables: the tables to read. Kept open, they tell later whether the plan still holds.
    ///   - paths: where to look.
    /// - Throws: `LinuxSystemError` if a mount table cannot be read.
    public static func survey(
        _ tables: MountTables, paths: SystemPaths = .live
    ) throws(LinuxSystemError) -> StorageInventory {
        let (mounts, unreachable) = try tables.readWithUnreachable(paths: paths)
        var inventory = survey(mounts: mounts, paths: paths)
        inventory.unreachable = identified(unreachable, devices: BlockDevices(paths: paths))
        inventory.unseen = tables.unseen
        return inventory
    }

    /// Completes a mount table that has been read.
    public static func survey(mounts: [MountEntry], paths: SystemPaths = .live) -> StorageInventory {
        let devices = BlockDevices(paths: paths)
        let topology = StorageTopology(devices: devices, mounts: mounts)
        var inventory = StorageInventory(mounts: mounts)
        let userspace = mounts.filter { $0.kind == .userspace }
        var members: [(mount: MountEntry, devices: [DeviceNumber])] = []
        var seen: Set<DeviceNumber> = []
        for mount in mounts where seen.insert(mount.device).inserted {
            let hosts = topology.hosts(of: mount)
            if !hosts.isEmpty { inventory.storedOn[mount.device] = hosts }
            guard mount.kind.isLocal else { continue }
            inventory.hiddenStorage[mount.device] = topology.hiddenStorage(of: mount)
            for host in userspace where hosts.contains(host.device) {
                inventory.notes.append(
                    "\(mount.place) is stored in the FUSE filesystem \(host.mountPoint.escaped), and what that "
                        + "is stored on is not known: if it is frozen too, the freeze can hang until it is given up."
                )
                break
            }
            let blockDevices = topology.blockDevices(of: mount).sorted()
            members.append((mount, blockDevices))
            if blockDevices.isEmpty, mount.kind != .cachingLayer, mount.filesystemType != "zfs" {
                let name = escapedControlCharacters(mount.source)
                inventory.notes.append(
                    "\(mount.place): its device \(name) is not known to the kernel by this name, so what it "
                        + "is stored on is not known either."
                        + (mount.filesystemType == "btrfs" ? " Nor is any btrfs in no mount table found." : ""))
            }
        }
        inventory.identify(members, devices: devices)
        return inventory
    }

    private mutating func identify(
        _ members: [(mount: MountEntry, devices: [DeviceNumber])], devices: BlockDevices
    ) {
        var udev: [DeviceNumber: UdevRecord] = [:]
        var wanted: [DeviceNumber] = []
        for (mount, blockDevices) in members {
            for device in blockDevices {
                udev[device] = UdevRecord.read(device, in: devices.paths.udevDatabase)
                devicePaths[mount.device, default: []].formUnion(devices.names(of: device, udev: udev[device]))
            }
            if let device = StorageInventory.identifying(mount, blockDevices) { wanted.append(device) }
        }
        let answer = FilesystemProbe(devices: devices).identify(wanted, udev: udev)
        for (mount, blockDevices) in members {
            guard let device = StorageInventory.identifying(mount, blockDevices) else { continue }
            identities[mount.device] = answer.identities[device]
            if answer.silent.contains(device) {
                notes.append(
                    "\(mount.place): its device did not answer within "
                        + "\(FilesystemProbe.deadline.components.seconds) s, so its UUID and label are not known.")
            }
        }
    }

    /// The same filesystems with the identity and the device names that a policy may use.
    private static func identified(
        _ unreachable: [UnreachableFilesystem], devices: BlockDevices
    ) -> [UnreachableFilesystem] {
        guard !unreachable.isEmpty else { return [] }
        let all = unreachable.flatMap(\.devices)
        let udev = Dictionary(
            all.compactMap { device in
                UdevRecord.read(device, in: devices.paths.udevDatabase).map { (device, $0) }
            }, uniquingKeysWith: { first, _ in first })
        let answer = FilesystemProbe(devices: devices).identify(all, udev: udev)
        return unreachable.map { filesystem in
            var filesystem = filesystem
            filesystem.identity =
                filesystem.devices.lazy.compactMap { answer.identities[$0] }.first ?? FilesystemIdentity()
            for device in filesystem.devices {
                filesystem.devicePaths.formUnion(devices.names(of: device, udev: udev[device]))
            }
            return filesystem
        }
    }

    /// The device that carries the filesystem's identity: its own; any member of a btrfs.
    private static func identifying(_ mount: MountEntry, _ blockDevices: [DeviceNumber]) -> DeviceNumber? {
        mount.device.major != 0 ? mount.device : blockDevices.first
    }
}
