/// How `include` and `exclude` apply to a filesystem.
extension Superblock {
    func matches(_ selector: FilesystemSelector) -> Bool {
        switch selector {
        // If the mount shows only a part, more is frozen than was named, which does no harm.
        case .mountPoint(let glob): mounts.contains { glob.matches($0.mountPoint) }
        case .uuid(let uuid): identity.uuid?.lowercased() == uuid
        case .label(let label): identity.label == label
        case .device(let glob): deviceNames.contains { glob.matches($0) }
        case .filesystemType(let type): mounts.contains { $0.filesystemType == type }
        }
    }

    /// The selectors of `exclude` that drop the filesystem; empty if the filesystem stays in the plan.
    ///
    /// A mount can show a directory or subvolume only. To exclude by mount point, every mount that shows all of the
    /// filesystem has to match; without such a mount, every mount.
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

    /// Notes on patterns of `exclude` that match a mount of a filesystem that stays in the plan.
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

    /// The kernel's names for its devices; if none is known, the sources of its mounts. Root chooses the source of a
    /// local mount; users choose the source of a FUSE mount or an overlay.
    private var deviceNames: Set<String> {
        guard firstMount.kind.isLocal, devicePaths.isEmpty else { return devicePaths }
        return Set(mounts.map(\.source))
    }
}
