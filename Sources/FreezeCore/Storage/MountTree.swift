import SystemPackage

/// The mounts of one table as a tree, to tell which of them a path leads to. Purely from the text: nothing is
/// looked up, since a look-up can hang.
struct MountTree {
    /// The way from the root to a mount point, over local filesystems only.
    struct Way {
        /// The way leads through a triggered automount. Entries in the kernel's cache can be opened.
        var isBelowAutomount = false
        /// The covering mounts, in the order of detaching. Detaching a mount also detaches the mounts below.
        var covers: [MountEntry] = []
    }

    private struct Place: Hashable {
        let parent: UInt64
        let mountPoint: FilePath
    }

    private let byID: [UInt64: MountEntry]
    private let byPlace: [Place: [UInt64]]

    init(_ mounts: [MountEntry]) {
        byID = Dictionary(mounts.map { ($0.mountID, $0) }, uniquingKeysWith: { $1 })
        byPlace = Dictionary(grouping: mounts) { Place(parent: $0.parentID, mountPoint: $0.mountPoint) }
            .mapValues { $0.map(\.mountID) }
    }

    /// - Returns: Nil if the mount lies below a network or FUSE mount, or if the table lacks the root.
    func way(to mount: MountEntry) -> Way? {
        var way = Way()
        // Mounts on top of the mount's root.
        var covers = stack(at: mount.mountPoint, in: mount.mountID, except: mount.mountID)
        var current = mount
        // Parent ids come from the kernel and form a tree; the bound only guards against a table that is torn.
        for _ in 0...byID.count {
            guard current.parentID != current.mountID, let parent = byID[current.parentID] else {
                // The root of another namespace's process may be a plain directory: what that is on is not in its table.
                guard current.namespace == nil || current.mountPoint == "/" else { return nil }
                way.covers = covers.reversed()
                return way
            }
            // A sibling mounted on the way here (or on the same place later) hides this one.
            var place = current.mountPoint
            while true {
                covers += stack(at: place, in: parent.mountID, except: current.mountID)
                if place == parent.mountPoint || !place.removeLastComponent() { break }
            }
            if parent.kind == .automount {
                way.isBelowAutomount = true
            } else if parent.kind.mayHang, current.mountPoint != parent.mountPoint {
                // A mount on the root of the parent needs no look-up in the parent.
                return nil
            }
            current = parent
        }
        return nil
    }

    /// The mounts on a place, and all mounts stacked on top.
    private func stack(at place: FilePath, in parent: UInt64, except mountID: UInt64) -> [MountEntry] {
        var found: [MountEntry] = []
        var waiting = [parent]
        while let parent = waiting.popLast(), found.count <= byID.count {
            for id in byPlace[Place(parent: parent, mountPoint: place)] ?? [] where id != mountID && id != parent {
                if let mount = byID[id] { found.append(mount) }
                waiting.append(id)
            }
        }
        return found
    }
}

extension [MountEntry] {
    /// The mounts of this table that cover the mount, in the order of detaching; nil if the mount lies below a
    /// network or FUSE mount.
    public func covers(of mount: MountEntry) -> [MountEntry]? {
        MountTree(self).way(to: mount)?.covers
    }
}
