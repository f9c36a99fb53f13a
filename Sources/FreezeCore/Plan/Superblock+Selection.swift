/// How `include` and `exclude` apply to a filesystem.
extension Superblock {
    func matches(_ selector: FilesystemSelector) -> Bool {
        switch selector {
        // More than one asked for is frozen, if the mount shows a part only: that does no harm.
        case .mountPoint(let glob): mounts.contains { glob.matches($0.mountPoint) }
        case .uuid(let uuid): identity.uuid?.lowercased() == uuid
        case .label(let label): identity.label == label
        case .device(let glob): deviceNames.contains { glob.matches($0) }
        case .filesystemType(let type): mounts.contains { $0.filesystemType == type }
        }
    }

    /// The selectors of `exclude` because of which the filesystem is left alone; empty if it stays in the plan.
    ///
    /// A mount can show a directory or subvolume only. To exclude by mount point, every mount that shows all of the
    /// filesystem has to match; where none does, every mount.
    func exclusion(by exclude: [FilesystemSelector]) -> [FilesystemSelector] {
        if let selector = exclude.first(where: { !$0.isMountPoint && matches($0) }) { return [selector] }
        let patterns = exclude.filter(\.isMountPoint)
        guard !patterns.isEmpty else { return [] }
        var used: [FilesystemSelector] = []
        for mount in decisiveMounts {
            guard let pattern = patterns.first(where: { $0.matches(mount) }) else { return [] }
            if !used.contains(pattern) { used.append(pattern) }
        }
        return used
    }

    /// For a filesystem that stays in the plan: what is said of the patterns of `exclude` that match a mount of it.
    func notesOnIneffective(_ exclude: [FilesystemSelector]) -> [String] {
        exclude.filter(\.isMountPoint).compactMap { pattern in
            guard let matched = mounts.first(where: pattern.matches),
                let other = decisiveMounts.first(where: { mount in !exclude.contains { $0.matches(mount) } })
            else { return nil }
            return
                "\(pattern) in [filesystems] exclude matches \(matched.place), but not \(other.place), where the "
                + "same filesystem (\(matched.summary)) is mounted: it is not excluded. Exclude it by UUID=, or by all "
                + "of its mount points."
        }
    }

    private var decisiveMounts: [MountEntry] {
        let whole = mounts.filter(\.showsWholeFilesystem)
        return whole.isEmpty ? mounts + mountsElsewhere : whole
    }

    /// The kernel's names for its devices. Only where those are not known what it was mounted as, which is text that root
    /// has chosen; that of a FUSE mount or an overlay is chosen by users.
    private var deviceNames: Set<String> {
        guard firstMount.kind.isLocal, devicePaths.isEmpty else { return devicePaths }
        return Set(mounts.map(\.source))
    }
}
