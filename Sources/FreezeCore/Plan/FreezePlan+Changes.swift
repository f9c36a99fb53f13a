extension FreezePlan {
    /// Tells whether the mount table has changed so that this plan is no longer the right one.
    ///
    /// Only the lines of the table are looked at, so that it can be asked while filesystems are frozen. Where
    /// they do not suffice (a new filesystem, and a policy that goes by UUID), it counts as a change: a needless failure
    /// is better than a backup with a hole.
    ///
    /// - Returns: what changed, in a clause that names the mount point; nil if nothing that matters.
    public func relevantChange(in mounts: [MountEntry], policy: PlanPolicy) -> String? {
        let now = Dictionary(grouping: mounts, by: \.device)
        let planned = Dictionary(filesystems.map { ($0.device, $0) }) { first, _ in first }
        let mountIDs = Set(mounts.map(\.mountID))
        for filesystem in filesystems {
            if let change = filesystem.change(
                in: now[filesystem.device] ?? [], mountIDs: mountIDs, policy: policy)
            {
                return change
            }
        }
        // In the order of the table, so that the answer does not depend on hashing.
        for mount in mounts where planned[mount.device] == nil {
            guard let first = now[mount.device]?.first, first == mount, first.isWritableAndLocal else { continue }
            if policy.concerns(newMounts: now[mount.device] ?? []) {
                return "\(mount.place) (\(mount.summary)) was mounted"
            }
        }
        return nil
    }
}

extension PlannedFilesystem {
    fileprivate func change(
        in mounts: [MountEntry], mountIDs: Set<UInt64>, policy: PlanPolicy
    ) -> String? {
        let name = "\(mount.place) (\(mount.summary))"
        if action != .skip {
            // The mount first: the device number of an unmounted filesystem can have gone to another one.
            if !mountIDs.contains(mount.mountID) { return "\(name) was unmounted" }
            guard let present = mounts.first(where: { $0.mountID == mount.mountID }) else {
                return "\(name) was replaced by another filesystem"
            }
            if present.filesystemType != mount.filesystemType {
                return "\(name) was replaced by another filesystem"
            }
            return present.isSuperblockReadOnly ? "\(name) became read-only" : nil
        }
        guard let present = mounts.first, present.isWritableAndLocal else { return nil }
        // Left alone although it could have been taken: the policy said so, and says so still.
        if mount.isWritableAndLocal && present.filesystemType == mount.filesystemType { return nil }
        guard policy.concerns(newMounts: mounts) else { return nil }
        if present.filesystemType == mount.filesystemType { return "\(name) became writable" }
        return "\(present.place) (\(present.summary)) was mounted"
    }
}

extension MountEntry {
    fileprivate var isWritableAndLocal: Bool { kind.isLocal && !isSuperblockReadOnly }
}

extension PlanPolicy {
    /// Whether a filesystem that is new in the table would be frozen or synced, or might be.
    fileprivate func concerns(newMounts mounts: [MountEntry]) -> Bool {
        func certainly(_ selector: FilesystemSelector) -> Bool {
            selector.matches(mounts.known, identity: FilesystemIdentity(), devicePaths: [])
        }
        if exclude.contains(where: certainly) { return false }
        return include.isEmpty || include.contains { $0.needsIdentity || certainly($0) }
    }
}
