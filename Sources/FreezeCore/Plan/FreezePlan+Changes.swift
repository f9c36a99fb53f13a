extension FreezePlan {
    /// Tells whether the mount table has changed so that this plan is no longer the right one.
    ///
    /// Only the lines of the table are looked at, so that it can be asked while filesystems are frozen. Where
    /// they do not suffice (a new filesystem, and a policy that goes by UUID), it counts as a change: a needless failure
    /// is better than a backup with a hole.
    ///
    /// - Returns: what changed, in a clause that names the mount point; nil if nothing that matters.
    public func relevantChange(in mounts: [MountEntry], policy: PlanPolicy) -> String? {
        let present = Dictionary(mounts.map { ($0.mountID, $0) }) { first, _ in first }
        for filesystem in filesystems where filesystem.action != .skip {
            if let loss = filesystem.loss(in: present) { return loss }
        }
        return newlyWritable(in: mounts, policy: policy) ?? noLongerExcluded(in: mounts, policy: policy)
    }

    /// A filesystem dropped by patterns of `exclude`, now with a mount that no pattern matches.
    private func noLongerExcluded(in mounts: [MountEntry], policy: PlanPolicy) -> String? {
        for filesystem in filesystems where filesystem.isExcludedByMountPoint {
            let present = mounts.filter { $0.device == filesystem.device }
            guard let first = present.first, first.isWritableAndLocal,
                first.filesystemType == filesystem.mount.filesystemType, policy.concerns(newMounts: present)
            else { continue }
            let name = "\(filesystem.mount.place) (\(filesystem.mount.summary))"
            return "\(name) was mounted in a place that is not excluded"
        }
        return nil
    }

    /// A filesystem that is now writable and neither frozen nor flushed: mounted since, or read-only before. Unmounts,
    /// and other mounts of the same filesystem, do not count.
    ///
    /// - Returns: a clause with the mount point; nil if no filesystem is newly writable.
    public func newlyWritable(in mounts: [MountEntry], policy: PlanPolicy) -> String? {
        let planned = Dictionary(filesystems.map { ($0.device, $0) }) { first, _ in first }
        let now = Dictionary(
            grouping: mounts.filter { planned[$0.device]?.action ?? .skip == .skip }, by: \.device)
        // Follows the order of the table, so the answer does not depend on hashing. The tables of several
        // namespaces are read one after the other: a line may be older than the change.
        var seen: Set<DeviceNumber> = []
        for mount in mounts {
            guard let all = now[mount.device], mount.isWritableAndLocal, seen.insert(mount.device).inserted else {
                continue
            }
            let before = planned[mount.device]
            let isSame = before?.mount.filesystemType == mount.filesystemType
            // Writable and skipped before: skipped by the policy, and the policy has not changed.
            if let before, isSame, before.mount.isWritableAndLocal { continue }
            // The level of a plan does not know of writes through a freeze that begin now.
            let writesThroughFreeze = isSame && before?.hiddenStorage?.writesThroughFreeze == true
            guard writesThroughFreeze || policy.concerns(newMounts: all) else { continue }
            if let before, isSame { return "\(before.mount.place) (\(before.mount.summary)) became writable" }
            return "\(mount.place) (\(mount.summary)) was mounted"
        }
        return nil
    }
}

extension PlannedFilesystem {
    /// The loss of a frozen or flushed filesystem.
    fileprivate func loss(in present: [UInt64: MountEntry]) -> String? {
        let name = "\(mount.place) (\(mount.summary))"
        guard let now = present[mount.mountID] else { return "\(name) was unmounted" }
        // Another filesystem can have the device number of an unmounted filesystem.
        if now.device != device || now.filesystemType != mount.filesystemType {
            return "\(name) was replaced by another filesystem"
        }
        return now.isSuperblockReadOnly ? "\(name) became read-only" : nil
    }
}

extension MountEntry {
    fileprivate var isWritableAndLocal: Bool { kind.isLocal && !isSuperblockReadOnly }
}

extension PlanPolicy {
    /// Whether a filesystem that is new in the table would be frozen or synced, or might be.
    fileprivate func concerns(newMounts mounts: [MountEntry]) -> Bool {
        guard let superblock = Superblock.all(in: StorageInventory(mounts: mounts)).first,
            superblock.exclusion(by: exclude).isEmpty,
            superblock.firstMount.kind == .cachingLayer || superblock.isSelected(selection)
        else { return false }
        return include.isEmpty || superblock.firstMount.kind == .cachingLayer
            || include.contains { $0.needsIdentity || superblock.matches($0) }
    }
}
