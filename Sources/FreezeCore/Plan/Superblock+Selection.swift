import SystemPackage

/// How `include`, `exclude` and the selection of a request apply to a filesystem.
extension Superblock {
    func matches(_ selector: FilesystemSelector) -> Bool {
        switch selector {
        // If the mount shows only a part, more is frozen than named; the rest does no harm.
        case .mountPoint(let glob): mounts.contains { glob.matches($0.mountPoint) }
        case .uuid(let uuid): identity.uuid?.lowercased() == uuid
        case .label(let label): identity.label == label
        case .device(let glob): deviceNames.contains { glob.matches($0) }
        case .filesystemType(let type): mounts.contains { $0.filesystemType == type }
        }
    }

    /// - Parameter selection: The selected mount points, of the host's own mount namespace: a container may have another
    ///   filesystem at the same path. nil for all filesystems.
    func isSelected(_ selection: [FilePath]?) -> Bool {
        guard let selection else { return true }
        return mounts.contains { $0.namespace == nil && selection.contains($0.mountPoint) }
    }

    /// The selectors of `exclude` that drop the filesystem; empty if the filesystem stays in the plan.
    ///
    /// A mount can show a directory or subvolume only. Exclusion by mount point needs a match for every mount of
    /// the whole filesystem; without such a mount, for every mount.
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

    /// Notes on ineffective patterns of `exclude`: a mount matches, and the filesystem stays in the plan.
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

    /// The kernel's names of the devices; without a known name, the sources of the mounts. Root chooses the source
    /// of a local mount; users choose the source of a FUSE mount or an overlay.
    private var deviceNames: Set<String> {
        guard firstMount.kind.isLocal, devicePaths.isEmpty else { return devicePaths }
        return Set(mounts.map(\.source))
    }
}
