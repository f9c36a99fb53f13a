extension FreezePlan {
    /// The way to one filesystem as it is mounted now, wherever that is: to thaw it.
    ///
    /// - Parameter reason: Why, for the plan's entry.
    /// - Returns: Nil if none of the mounts is of this superblock.
    /// - Throws: `PlanError` if none of its mounts can be opened without risk.
    public static func reaching(
        _ device: DeviceNumber, through mounts: [MountEntry], reason: String
    ) throws(PlanError) -> FreezePlan? {
        let inventory = StorageInventory(mounts: mounts.filter { $0.device == device })
        guard let superblock = Superblock.all(in: inventory).first else { return nil }
        let candidates = MountTree(mounts).candidates(for: superblock)
        guard let mount = candidates.mounts.first else { throw .unreachable(superblock.firstMount) }
        return FreezePlan(filesystems: [
            PlannedFilesystem(
                device: device, mount: mount, alternatives: Array(candidates.mounts.dropFirst()),
                isBelowAutomount: candidates.isBelowAutomount, isCovered: candidates.isCovered, action: .freeze,
                reason: reason)
        ])
    }
}
