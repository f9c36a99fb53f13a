import SystemPackage

/// The mounts of one table as a tree, to tell which of them a path leads to. Purely from the text: nothing is
/// looked up, since a look-up can hang.
struct MountTree {
    /// How a mount point is reached.
    enum Reachability {
        /// Over local filesystems only.
        case plain
        /// Through an automount that has been triggered. What is known to the kernel's cache can be opened.
        case belowAutomount
        /// Hidden by another mount, or below a network or FUSE mount.
        case unreachable
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

    func reachability(of mount: MountEntry) -> Reachability {
        // Another mount on top of this one's root.
        if isCovered(mount.mountPoint, in: mount.mountID, except: mount.mountID) { return .unreachable }
        var result = Reachability.plain
        var current = mount
        // Parent ids come from the kernel and form a tree; the bound only guards against a table that is torn.
        for _ in 0...byID.count {
            guard current.parentID != current.mountID, let parent = byID[current.parentID] else {
                // The root of another namespace's process may be a plain directory: what that is on is not in its table.
                return current.namespace == nil || current.mountPoint == "/" ? result : .unreachable
            }
            // A sibling mounted on the way here (or on the same place later) hides this one.
            var way = current.mountPoint
            while true {
                if isCovered(way, in: parent.mountID, except: current.mountID) { return .unreachable }
                if way == parent.mountPoint || !way.removeLastComponent() { break }
            }
            if parent.kind == .automount {
                result = .belowAutomount
            } else if parent.kind.mayHang {
                return .unreachable
            }
            current = parent
        }
        return .unreachable
    }

    private func isCovered(_ path: FilePath, in parent: UInt64, except mountID: UInt64) -> Bool {
        byPlace[Place(parent: parent, mountPoint: path)]?.contains { $0 != mountID } ?? false
    }

    /// The mounts a superblock can be opened through, the best first: all below an automount, or none. Not every
    /// one: there may be thousands of bind mounts, and time for a plan is short.
    func candidates(_ mounts: [MountEntry], atMost limit: Int = 16) -> (
        mounts: [MountEntry], isBelowAutomount: Bool
    ) {
        // Bind mounts can be of single files, even sockets: one that certainly is a directory first.
        let ranked = mounts.indices
            .map { (rank: mounts[$0].directoryRank, length: mounts[$0].mountPoint.length, index: $0) }
            .sorted { ($0.rank, $0.length, $0.index) < ($1.rank, $1.length, $1.index) }
        var plain: [MountEntry] = []
        var automounted: [MountEntry] = []
        for (_, _, index) in ranked {
            switch reachability(of: mounts[index]) {
            case .plain: plain.append(mounts[index])
            case .belowAutomount: automounted.append(mounts[index])
            case .unreachable: break
            }
            if plain.count == limit { break }
        }
        // One that can be waited for must not stand in for one that cannot.
        return plain.isEmpty ? (Array(automounted.prefix(limit)), true) : (plain, false)
    }

    /// In our own namespace, if it can be reached there: others may go away with their last process.
    func candidates(for superblock: Superblock) -> (mounts: [MountEntry], isBelowAutomount: Bool) {
        let own = candidates(superblock.mounts)
        return own.mounts.isEmpty ? candidates(superblock.mountsElsewhere) : own
    }
}

extension MountEntry {
    /// 0: all of the filesystem. 1: a subvolume, so a directory, too. 2: most likely a directory.
    fileprivate var directoryRank: Int {
        if showsWholeFilesystem { return 0 }
        // btrfs names the subvolume a mount shows.
        if let subvolume = superblockOption("subvol"), root == FilePath(subvolume) { return 1 }
        return 2
    }
}
