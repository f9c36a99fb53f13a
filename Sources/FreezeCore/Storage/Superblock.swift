/// One filesystem with all its mounts, on the way to becoming an entry of the plan.
struct Superblock {
    /// What is to be done with it, and why.
    struct Verdict: Hashable {
        let action: FilesystemAction
        let reason: String
        var isHarmless = false
        var isLeftOut = false
        var isExcludedByMountPoint = false
    }

    let device: DeviceNumber
    let firstMount: MountEntry
    /// Those of our own namespace; if it is not mounted there, those of the others.
    let mounts: [MountEntry]
    /// Those of other namespaces, for one that is mounted in our own too.
    let mountsElsewhere: [MountEntry]
    let identity: FilesystemIdentity
    let devicePaths: Set<String>

    /// One per device number, in the order of the mount table.
    static func all(in inventory: StorageInventory) -> [Superblock] {
        var order: [DeviceNumber] = []
        var groups: [DeviceNumber: [MountEntry]] = [:]
        for mount in inventory.mounts {
            if groups[mount.device] == nil { order.append(mount.device) }
            groups[mount.device, default: []].append(mount)
        }
        return order.compactMap { device in
            guard let all = groups[device], let first = all.known.first else { return nil }
            return Superblock(
                device: device, firstMount: first, mounts: all.known,
                mountsElsewhere: first.namespace == nil ? all.filter { $0.namespace != nil } : [],
                identity: inventory.identities[device] ?? FilesystemIdentity(),
                devicePaths: inventory.devicePaths[device] ?? [])
        }
    }

    /// The mount an admin knows it by, where it is not opened.
    var preferredForDisplay: MountEntry {
        mounts.first { $0.showsWholeFilesystem } ?? firstMount
    }

    /// False for what another namespace has besides the filesystems on our disks: its own /proc, /tmp and so on.
    var concernsUs: Bool { firstMount.namespace == nil || firstMount.kind.isLocal }

    func verdict(_ policy: PlanPolicy, among inventory: StorageInventory) -> Verdict {
        // What it is comes before what the policy says: an admin who excludes /proc/* should not read that this
        // is why /proc is left alone.
        switch firstMount.kind {
        case .memory:
            return Verdict(action: .skip, reason: "in memory only")
        case .kernel:
            return Verdict(action: .skip, reason: "no files on a disk")
        case .network:
            return Verdict(action: .skip, reason: "network filesystem: it is not on this machine's disks")
        case .userspace:
            return Verdict(action: .skip, reason: "FUSE filesystem: it could hang the freeze")
        case .automount:
            return Verdict(action: .skip, reason: "automount trigger, holds no files itself")
        case .stacked:
            return Verdict(action: .skip, reason: stackedReason(inventory))
        case .freezable, .unfreezable, .unknown, .userspaceOnDisk, .cachingLayer:
            return localVerdict(policy)
        }
    }

    private func localVerdict(_ policy: PlanPolicy) -> Verdict {
        if firstMount.isSuperblockReadOnly {
            return Verdict(action: .skip, reason: "read-only: nothing can change on it")
        }
        let exclusion = exclusion(by: policy.exclude)
        if !exclusion.isEmpty {
            let selectors = exclusion.map(\.description).joined(separator: ", ")
            return Verdict(
                action: .skip, reason: "excluded by \(selectors)", isLeftOut: !isHarmlessType,
                isExcludedByMountPoint: exclusion[0].isMountPoint)
        }
        var because = ""
        // A layer is included together with the filesystem below.
        if !policy.include.isEmpty, firstMount.kind != .cachingLayer {
            guard let selector = policy.include.first(where: matches) else {
                return Verdict(action: .skip, reason: "not in include", isLeftOut: !isHarmlessType)
            }
            because = ", included by \(selector)"
        }
        if firstMount.kind != .cachingLayer, !isSelected(policy.selection) {
            return Verdict(action: .skip, reason: "not selected by the request")
        }
        let type = escapedControlCharacters(firstMount.filesystemType)
        switch firstMount.kind {
        case .freezable:
            return Verdict(action: .freeze, reason: "writable \(type)\(because)")
        case .unfreezable where isHarmlessType:
            return Verdict(
                action: .sync, reason: "EFI system partition: \(type) has no freeze, flushed only",
                isHarmless: true)
        case .unfreezable:
            return Verdict(action: .sync, reason: "the kernel has no freeze for \(type): flushed only\(because)")
        case .userspaceOnDisk:
            return Verdict(
                action: .sync,
                reason: "a process serves it, which cannot be frozen: only its device is flushed\(because)")
        case .cachingLayer:
            return Verdict(action: .sync, reason: "\(type) holds data back and has no freeze: flushed only")
        default:
            return Verdict(
                action: .sync, reason: "\(type) is not known to have a freeze: flushed only\(because)")
        }
    }

    /// True for an EFI system partition: changes on it are rare, and no level depends on it.
    private var isHarmlessType: Bool { firstMount.kind == .unfreezable && identity.isEFISystemPartition }

    /// For the reason: the other namespace of the mount, if any, and whether another mount covers the mount.
    func whereabouts(through mount: MountEntry, isCovered: Bool) -> String {
        let cover = isCovered ? "; reached below the mount that covers it" : ""
        guard let namespace = mount.namespace else { return cover }
        let place = mountsElsewhere.isEmpty ? "; mounted only in \(namespace)" : "; reached through \(namespace)"
        return place + cover
    }

    func stackedReason(_ inventory: StorageInventory) -> String {
        let homes = (inventory.storedOn[device] ?? []).sorted().compactMap { home in
            inventory.mounts.first { $0.device == home }?.mountPoint.escaped
        }
        guard !homes.isEmpty else { return "a layer above other filesystems, which are planned by themselves" }
        return "a layer: its files are on \(homes.joined(separator: ", "))"
    }
}

extension FilesystemIdentity {
    /// By the GPT partition type (UEFI specification, 5.3.3) or the MBR one.
    public var isEFISystemPartition: Bool {
        partitionType == "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" || partitionType == "0xef"
    }
}
