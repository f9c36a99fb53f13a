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

    /// The mounts for opening a superblock, the best first. All have the same kind of way.
    struct Candidates {
        var mounts: [MountEntry] = []
        var isBelowAutomount = false
        var isCovered = false
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

    /// The mounts for opening a superblock, the best first; none without a way to any mount. The list is limited:
    /// there may be thousands of bind mounts, and time for a plan is short.
    func candidates(_ mounts: [MountEntry], atMost limit: Int = 16) -> Candidates {
        // Bind mounts can be of single files, even sockets: one that certainly is a directory first.
        let ranked = mounts.indices
            .map { (rank: mounts[$0].directoryRank, length: mounts[$0].mountPoint.length, index: $0) }
            .sorted { ($0.rank, $0.length, $0.index) < ($1.rank, $1.length, $1.index) }
        var plain = Candidates()
        var automounted = Candidates(isBelowAutomount: true)
        var covered = Candidates(isCovered: true)
        for (_, _, index) in ranked {
            guard let way = way(to: mounts[index]) else { continue }
            if !way.covers.isEmpty {
                covered.isBelowAutomount = covered.isBelowAutomount || way.isBelowAutomount
                covered.mounts.append(mounts[index])
            } else if way.isBelowAutomount {
                automounted.mounts.append(mounts[index])
            } else {
                plain.mounts.append(mounts[index])
            }
            if plain.mounts.count == limit { break }
        }
        // Kinds are not mixed: all candidates of a superblock are opened in the same way.
        var best = [plain, automounted, covered].first { !$0.mounts.isEmpty } ?? Candidates()
        best.mounts = Array(best.mounts.prefix(limit))
        return best
    }

    /// Mounts in our own namespace come first, because another namespace may end with the last process. Covered
    /// mounts come last.
    func candidates(for superblock: Superblock) -> Candidates {
        let all = [candidates(superblock.mounts), candidates(superblock.mountsElsewhere)]
            .filter { !$0.mounts.isEmpty }
        return all.first { !$0.isCovered } ?? all.first ?? Candidates()
    }
}

extension [MountEntry] {
    /// The mounts of this table that cover the mount, in the order of detaching; nil if the mount lies below a
    /// network or FUSE mount.
    public func covers(of mount: MountEntry) -> [MountEntry]? {
        MountTree(self).way(to: mount)?.covers
    }
}

extension MountEntry {
    /// 0: all of the filesystem. 1: a subvolume, so a directory, too. 2: most likely a directory.
    fileprivate var directoryRank: Int {
        if showsWholeFilesystem { return 0 }
        // btrfs names the subvolume a mount shows.
        if let subvolume = superblockOptions.path("subvol"), root == subvolume { return 1 }
        return 2
    }
}
