import FreezeCore
import LinuxCalls
import SystemPackage

/// Finds out which superblock is stored in a file of which other, from sysfs and the text of the mount table (P6).
struct StorageTopology: Sendable {
    let devices: BlockDevices
    private let ownMounts: MountIndex
    private let foreignMounts: [MountNamespace: MountIndex]
    private let knownDevices: Set<DeviceNumber>
    private let btrfsMembers: [Set<DeviceNumber>]

    init(devices: BlockDevices, mounts: [MountEntry]) {
        self.devices = devices
        ownMounts = MountIndex(mounts.filter { $0.namespace == nil })
        let foreign: [MountNamespace: [MountEntry]] = mounts.reduce(into: [:]) { tables, mount in
            if let namespace = mount.namespace { tables[namespace, default: []].append(mount) }
        }
        foreignMounts = foreign.mapValues(MountIndex.init)
        knownDevices = Set(mounts.map(\.device))
        btrfsMembers = devices.btrfsMembers()
    }

    /// The block devices a filesystem is on: its own, a btrfs' members, and those of its journal or log.
    func blockDevices(of mount: MountEntry) -> Set<DeviceNumber> {
        guard mount.kind.isLocal else { return [] }
        var result: Set<DeviceNumber> = []
        if mount.device.major != 0 {
            result.insert(mount.device)
        } else {
            // Several devices, so none of them gives the superblock its number. bcachefs lists them all.
            let sources = mount.source.split(separator: ":").compactMap { devices.device(named: String($0)) }
            result.formUnion(sources)
        }
        if mount.filesystemType == "btrfs" {
            for members in btrfsMembers where !members.isDisjoint(with: result) { result.formUnion(members) }
        }
        // xfs(5): an external log, a realtime device.
        for option in ["logdev", "rtdev"] {
            if let name = mount.superblockOptions.path(option), let device = devices.device(named: name.string) {
                result.insert(device)
            }
        }
        if let journal = externalJournal(of: mount) { result.insert(journal) }
        return result
    }

    /// The hidden storage of a filesystem, also through device-mapper, md and loop devices over block devices. Of several
    /// kinds one that writes through a freeze, since the level depends on it.
    func hiddenStorage(of mount: MountEntry) -> HiddenStorage? {
        var found: HiddenStorage?
        var visited: Set<DeviceNumber> = []
        var waiting = blockDevices(of: mount).sorted()
        while let device = waiting.popLast() {
            guard visited.insert(device).inserted else { continue }
            if let storage = devices.hiddenStorage(of: device) {
                if storage.writesThroughFreeze { return storage }
                found = found ?? storage
            }
            waiting += devices.parts(of: device)
            if let disk = devices.loopBackingFile(of: device).flatMap({ devices.device(named: $0.string) }) {
                waiting.append(disk)
            }
        }
        return found
    }

    /// The superblocks that hold the files this one is directly stored in.
    func hosts(of mount: MountEntry) -> Set<DeviceNumber> {
        var hosts: Set<DeviceNumber> = []
        if mount.kind == .stacked || mount.kind == .cachingLayer {
            for directory in Self.lowerDirectories(of: mount) {
                hosts.formUnion(readings(of: directory, by: mount).map(\.device))
            }
        } else {
            var visited: Set<DeviceNumber> = []
            var waiting = blockDevices(of: mount).sorted()
            while let device = waiting.popLast() {
                guard visited.insert(device).inserted else { continue }
                waiting += devices.parts(of: device)
                guard let file = devices.loopBackingFile(of: device) else { continue }
                if let disk = devices.device(named: file.string) {
                    waiting.append(disk)
                } else {
                    hosts.formUnion(holders(of: file, loop: device, for: mount))
                }
            }
        }
        hosts.remove(mount.device)
        return hosts
    }

    /// The directories that a layer may keep its files in.
    private static func lowerDirectories(of mount: MountEntry) -> [FilePath] {
        // The source of an ecryptfs is its lower directory; the source of an overlay can be any text.
        guard mount.filesystemType.hasPrefix("overlay") else { return [FilePath(mount.source)] }
        guard let upper = mount.superblockOptions.path("upperdir") else { return [] }
        // For mount(2), a backslash stands before a comma, a colon and a backslash, and is shown; for fsconfig(2),
        // there is no such backslash (fs/overlayfs/params.c).
        return [upper, upper.withoutBackslashes]
    }

    /// The superblocks a loop device's file may be on: the loop driver knows for certain, the text of the path nearly so
    /// (the file may have been opened in another namespace, or been hidden by a mount since).
    private func holders(of file: FilePath, loop: DeviceNumber, for mount: MountEntry) -> Set<DeviceNumber> {
        // What is mounted from the loop device cannot hold its file, although its mount point may lead to it.
        let byText = readings(of: file, by: mount) { $0.device != mount.device }
        let devices = Set(byText.map(\.device))
        // The driver would ask the server about the file.
        if byText.contains(where: \.kind.mayHang) { return devices }
        if let known = driverAnswer(loop), knownDevices.contains(known) { return [known] }
        // btrfs gives files the number of their subvolume, which is in no mount table.
        return devices
    }

    /// What a path may lead to: a mount in another namespace can have been made there, or here and be passed on. Nobody
    /// tells whose path it is, so both count; one filesystem too many only makes the order stricter.
    private func readings(
        of path: FilePath, by mount: MountEntry, where isPossible: (MountEntry) -> Bool = { _ in true }
    ) -> [MountEntry] {
        [ownMounts, mount.namespace.flatMap { foreignMounts[$0] }].compactMap {
            $0?.mount(holding: path, where: isPossible)
        }
    }

    private func driverAnswer(_ loop: DeviceNumber) -> DeviceNumber? {
        guard let nodes = devices.paths.deviceNodes, let name = devices.kernelName(of: loop),
            !HangingProbes.devices.contains(loop)
        else { return nil }
        let node = DeviceNode(device: loop, path: nodes.appending(name))
        let answers = HangingProbes.run([node], within: FilesystemProbe.deadline) { node -> DeviceNumber? in
            guard
                let descriptor = try? FileDescriptor.open(
                    node.path, .readOnly, options: [.closeOnExec, .nonBlocking])
            else { return nil }
            defer { try? descriptor.close() }
            guard let (major, minor) = try? LoopDevice.backingDevice(descriptor) else { return nil }
            return DeviceNumber(major: major, minor: minor)
        }
        return answers.first.flatMap { $0 }.flatMap { $0 }
    }

    /// The device of ext4's external journal. Neither the mount table nor sysfs names it, but the journal's kernel
    /// thread bears its name (fs/jbd2/journal.c: `jbd2/sdb1`, where an internal one is `jbd2/sda1-8`).
    private func externalJournal(of mount: MountEntry) -> DeviceNumber? {
        guard mount.filesystemType == "ext4" || mount.filesystemType == "ext3",
            let name = devices.kernelName(of: mount.device),
            let task = SmallFile.text(FilePath("\(devices.paths.sysfs)/fs/ext4/\(name)/journal_task")),
            // "<none>" without a journal.
            UInt32(task) != nil,
            let thread = SmallFile.text(FilePath("\(devices.paths.proc)/\(task)/comm")),
            thread.hasPrefix("jbd2/")
        else { return nil }
        let journal = thread.dropFirst("jbd2/".count)
        if journal == name || journal.hasPrefix(name + "-") { return nil }
        return devices.device(named: "/dev/\(journal)")
    }
}

extension FilePath {
    /// Without the backslash before a character.
    fileprivate var withoutBackslashes: FilePath {
        var bytes: [UInt8] = []
        var rest = self.bytes[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\"), let next = rest.popFirst() {
                bytes.append(next)
            } else {
                bytes.append(byte)
            }
        }
        return FilePath(bytes: bytes)
    }
}
