import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Block devices as sysfs shows them (Documentation/ABI/stable/sysfs-block). Nothing here touches a device, except
/// where `deviceNodes` is said.
struct BlockDevices: Sendable {
    let paths: SystemPaths

    /// `/sys/dev/block/M:m`, a link to the device's directory.
    func directory(of device: DeviceNumber) -> FilePath { FilePath("\(paths.sysfs)/dev/block/\(device)") }

    /// A file of the device's directory. Made as one text: `appending` would normalise the path for each part.
    func file(_ name: String, of device: DeviceNumber) -> FilePath {
        FilePath("\(paths.sysfs)/dev/block/\(device)/\(name)")
    }

    /// The kernel's name, such as `vda1` or `dm-0`.
    func kernelName(of device: DeviceNumber) -> String? {
        let uevent = SmallFile.text(file("uevent", of: device)) ?? ""
        for line in uevent.split(separator: "\n") where line.hasPrefix("DEVNAME=") {
            return String(line.dropFirst("DEVNAME=".count))
        }
        return nil
    }

    /// The name of a device-mapper device.
    func mapperName(of device: DeviceNumber) -> String? {
        SmallFile.text(file("dm/name", of: device))
    }

    /// All names known without asking the device.
    func names(of device: DeviceNumber, udev: UdevRecord?) -> Set<String> {
        var names: Set<String> = []
        if let name = kernelName(of: device) { names.insert("/dev/\(name)") }
        if let name = mapperName(of: device) { names.insert("/dev/mapper/\(name)") }
        for link in udev?.links ?? [] { names.insert("/dev/\(link)") }
        return names
    }

    /// The device a name in /dev stands for.
    func device(named name: String) -> DeviceNumber? {
        guard name.hasPrefix("/dev/") else { return nil }
        let short = name.dropFirst("/dev/".count)
        // In sysfs a slash in a kernel name is an exclamation mark (cciss!c0d0).
        if let device = device(kernelName: String(short.map { $0 == "/" ? "!" : $0 })) { return device }
        if short.hasPrefix("mapper/") {
            let wanted = short.dropFirst("mapper/".count)
            for entry in entries(paths.sysfs.appending("class/block"))
            where entry.string.hasPrefix("dm-") {
                let directory = paths.sysfs.appending("class/block").appending(entry)
                if SmallFile.text(directory.appending("dm/name")).map({ $0 == wanted }) == true {
                    return number(at: directory.appending("dev"))
                }
            }
        }
        return nodeNumber(String(short))
    }

    /// The device that has the name in sysfs.
    func device(kernelName name: String) -> DeviceNumber? {
        number(at: FilePath("\(paths.sysfs)/class/block/\(name)/dev"))
    }

    /// Opens a device's node for reading, and verifies the device number of the node.
    ///
    /// - Throws: ENXIO for any other node; ENOENT if there is no node.
    func open(_ device: DeviceNumber) throws(Errno) -> FileDescriptor {
        guard let nodes = paths.deviceNodes, let name = kernelName(of: device) else {
            throw .noSuchFileOrDirectory
        }
        // Does not wait until a drive has checked the medium or closed the door.
        let descriptor = try openDescriptor(nodes.appending(name), .readOnly, options: [.nonBlocking, .noFollow])
        var status = stat()
        guard fstat(descriptor.rawValue, &status) == 0, status.st_mode & S_IFMT == S_IFBLK,
            DeviceNumber(deviceType: status.st_rdev) == device
        else {
            try? descriptor.close()
            throw .noSuchAddressOrDevice
        }
        return descriptor
    }

    /// The devices this one is directly made of: a partition's disk, a mapping's or array's members.
    func parts(of device: DeviceNumber) -> [DeviceNumber] {
        var parts: [DeviceNumber] = []
        if SmallFile.read(file("partition", of: device)) != nil,
            // Not lexically: the kernel resolves the link first, and the directory above it is the disk's.
            let disk = number(at: file("../dev", of: device))
        {
            parts.append(disk)
        }
        let members = file("slaves", of: device)
        for name in entries(members) {
            if let member = number(at: members.appending(name).appending("dev")) { parts.append(member) }
        }
        // zram can keep cold pages on a device (Documentation/admin-guide/blockdev/zram.rst).
        if let backing = SmallFile.text(file("backing_dev", of: device)),
            let device = self.device(named: backing)
        {
            parts.append(device)
        }
        return parts
    }

    /// The path of a loop device's backing file, as it was when the file was opened.
    func loopBackingFile(of device: DeviceNumber) -> FilePath? {
        guard var text = SmallFile.text(file("loop/backing_file", of: device)) else { return nil }
        let deleted = " (deleted)"
        if text.hasSuffix(deleted) { text.removeLast(deleted.count) }
        return FilePath(text)
    }

    /// Every btrfs that is mounted, as its members.
    func btrfsMembers() -> [Set<DeviceNumber>] { btrfsDirectories().map(\.members) }

    /// Every btrfs that lives, with its directory in sysfs.
    func btrfsDirectories() -> [(directory: FilePath, members: Set<DeviceNumber>)] {
        let root = paths.sysfs.appending("fs/btrfs")
        return entries(root).compactMap { uuid in
            let devices = root.appending(uuid).appending("devices")
            let members = entries(devices).compactMap {
                number(at: devices.appending($0).appending("dev"))
            }
            return members.isEmpty ? nil : (root.appending(uuid), Set(members))
        }
    }

    /// Sorted, so that the same machine gives the same plan. Empty if there is no such directory: in sysfs that means
    /// that there is nothing of the kind.
    func entries(_ directory: FilePath) -> [FilePath.Component] {
        ((try? directoryEntries(directory)) ?? []).sorted { $0.string < $1.string }
    }

    func number(at path: FilePath) -> DeviceNumber? {
        SmallFile.text(path).flatMap { DeviceNumber($0) }
    }

    /// By looking the node up, through udev's links. /dev is in memory, so this does not hang.
    private func nodeNumber(_ name: String) -> DeviceNumber? {
        guard let nodes = paths.deviceNodes else { return nil }
        var status = stat()
        guard nodes.appending(name).withPlatformString({ stat($0, &status) }) == 0,
            status.st_mode & S_IFMT == S_IFBLK
        else { return nil }
        return DeviceNumber(deviceType: status.st_rdev)
    }
}
