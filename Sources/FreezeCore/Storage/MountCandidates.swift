import SystemPackage

/// The mounts through which a superblock can be opened, the best first. All of them are opened in the same way.
struct MountCandidates {
    var mounts: [MountEntry] = []
    var isBelowAutomount = false
    var isCovered = false
}

extension MountTree {
    /// The candidates for a superblock; none without a way to any of its mounts.
    ///
    /// Mounts in our own namespace come first, because another namespace may end with its last process. Covered
    /// mounts come last.
    func candidates(for superblock: Superblock) -> MountCandidates {
        let all = [candidates(superblock.mounts), candidates(superblock.mountsElsewhere)]
            .filter { !$0.mounts.isEmpty }
        return all.first { !$0.isCovered } ?? all.first ?? MountCandidates()
    }

    /// The list is limited: there may be thousands of bind mounts, and the time for a plan is short.
    private func candidates(_ mounts: [MountEntry], atMost limit: Int = 16) -> MountCandidates {
        var plain = MountCandidates()
        var automounted = MountCandidates(isBelowAutomount: true)
        var covered = MountCandidates(isCovered: true)
        for mount in Self.mostLikelyDirectoriesFirst(mounts) {
            guard let way = way(to: mount) else { continue }
            if !way.covers.isEmpty {
                covered.isBelowAutomount = covered.isBelowAutomount || way.isBelowAutomount
                covered.mounts.append(mount)
            } else if way.isBelowAutomount {
                automounted.mounts.append(mount)
            } else {
                plain.mounts.append(mount)
            }
            if plain.mounts.count == limit { break }
        }
        var best = [plain, automounted, covered].first { !$0.mounts.isEmpty } ?? MountCandidates()
        best.mounts = Array(best.mounts.prefix(limit))
        return best
    }

    /// A bind mount can be of a single file, even of a socket.
    private static func mostLikelyDirectoriesFirst(_ mounts: [MountEntry]) -> [MountEntry] {
        mounts.indices
            .map { (rank: mounts[$0].directoryRank, length: mounts[$0].mountPoint.length, index: $0) }
            .sorted { ($0.rank, $0.length, $0.index) < ($1.rank, $1.length, $1.index) }
            .map { mounts[$0.index] }
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
