import SystemPackage

extension FreezePlan {
    /// Decides what becomes of each filesystem.
    ///
    /// - Throws: `PlanError`, naming the filesystem or selector that stands in the way. That there is nothing to
    ///   freeze is not an error here, so that the plan can be shown: see ``requireSomethingToFreeze()``.
    public static func make(from inventory: StorageInventory, policy: PlanPolicy) throws(PlanError) -> FreezePlan {
        let superblocks = Superblock.all(in: inventory)
        let verdicts = verdicts(on: superblocks, policy, inventory)
        if let selection = policy.selection {
            try requireSelected(selection, among: verdicts)
        } else {
            try requireIncluded(policy.include, among: verdicts)
        }
        let frozen = verdicts.filter { $0.1.action == .freeze }.map(\.0.device)
        let graph = try graph(of: superblocks, stored: inventory.storedOn, frozen: frozen)
        let devices = Set(frozen)
        let order = try order(of: superblocks.filter { devices.contains($0.device) }, inventory, graph, policy)
        let names = Dictionary(superblocks.map { ($0.device, $0.firstMount.place) }) { first, _ in first }
        let tree = MountTree(inventory.mounts)

        var planned: [PlannedFilesystem] = []
        for (superblock, decided) in verdicts where superblock.concernsUs {
            var verdict = decided
            // A filesystem flushed through the block device need not be reached.
            let isOpened = verdict.action != .skip && superblock.firstMount.kind != .userspaceOnDisk
            let candidates = isOpened ? tree.candidates(for: superblock) : MountCandidates()
            if isOpened, candidates.mounts.isEmpty {
                guard verdict.isHarmless else { throw .unreachable(superblock.firstMount) }
                verdict = Superblock.Verdict(
                    action: .skip, reason: "EFI system partition that cannot be reached: not flushed")
            }
            let chosen = candidates.mounts.first ?? superblock.preferredForDisplay
            let filesystem = PlannedFilesystem(
                device: superblock.device, mount: chosen,
                alternatives: Array(candidates.mounts.dropFirst()),
                otherMountPoints: superblock.mounts
                    .filter { $0.mountID != chosen.mountID && [nil, chosen.namespace].contains($0.namespace) }
                    .map(\.mountPoint),
                isBelowAutomount: candidates.isBelowAutomount && verdict.action != .skip,
                isCovered: candidates.isCovered && verdict.action != .skip,
                identity: superblock.identity, action: verdict.action,
                reason: verdict.reason + superblock.whereabouts(through: chosen, isCovered: candidates.isCovered),
                step: order.steps[superblock.device],
                orderReason: verdict.action == .freeze
                    ? order.reason(for: superblock.device, names: names) : nil,
                hiddenStorage: inventory.hiddenStorage[superblock.device],
                storedOn: graph.everything(below: superblock.device).sorted(),
                isHarmless: verdict.isHarmless, isLeftOut: verdict.isLeftOut,
                isExcludedByMountPoint: verdict.isExcludedByMountPoint)
            if filesystem.isOnlyFlushed, policy.unfreezable == .fail { throw .unfreezable(superblock.firstMount) }
            planned.append(filesystem)
        }
        // A filesystem in no mount table has no mount point to select.
        let unreachable = policy.selection == nil ? inventory.unreachable.filter(policy.concerns) : []
        if policy.unreachable == .fail, let first = unreachable.first { throw .unreachable(first) }
        return FreezePlan(
            filesystems: sorted(planned),
            notes: inventory.notes + inventory.unseen + unreachable.map(\.note)
                + planned.filter(\.writesThroughFreeze).map(\.noteOnWriting) + notes(on: policy, verdicts),
            unseen: inventory.unseen, unreachable: unreachable)
    }

    /// Requires a filesystem to freeze, or one to flush for lack of a freeze.
    ///
    /// - Throws: `PlanError` with `nothingToFreeze`.
    public func requireSomethingToFreeze() throws(PlanError) {
        if filesystems(.freeze).isEmpty, onlyFlushed.isEmpty { throw .nothingToFreeze }
    }

    /// - Throws: `PlanError` with `incomplete`: there may be filesystems that the plan does not know of (P2).
    public func requireComplete() throws(PlanError) {
        if let first = unseen.first { throw .incomplete(first) }
    }

    private static func verdicts(
        on superblocks: [Superblock], _ policy: PlanPolicy, _ inventory: StorageInventory
    ) -> [(Superblock, Superblock.Verdict)] {
        let verdicts = superblocks.map { ($0, $0.verdict(policy, among: inventory)) }
        let skipped = Set(verdicts.filter { $0.1.action == .skip }.map(\.0.device))
        return verdicts.map { superblock, verdict in
            // A layer is skipped if all filesystems that hold the layer's files are skipped.
            guard superblock.firstMount.kind == .cachingLayer, verdict.action != .skip,
                let homes = inventory.storedOn[superblock.device], homes.isSubset(of: skipped)
            else { return (superblock, verdict) }
            return (superblock, Superblock.Verdict(action: .skip, reason: superblock.stackedReason(inventory)))
        }
    }

    /// A specific entry must match a frozen or flushed filesystem. Otherwise a named filesystem would silently be
    /// missing from a backup reported as good. (Also if the device was too slow to report the UUID.)
    private static func requireIncluded(
        _ include: [FilesystemSelector], among verdicts: [(Superblock, Superblock.Verdict)]
    ) throws(PlanError) {
        for selector in include where selector.isSpecific {
            let matching = verdicts.filter { $0.0.matches(selector) }
            guard let (superblock, verdict) = matching.first else { throw .notMounted(selector) }
            if matching.allSatisfy({ $0.1.action == .skip }) {
                throw .notPlanned(selector, superblock.firstMount, verdict.reason)
            }
        }
    }

    /// Every selected mount point must belong to a frozen or flushed filesystem.
    private static func requireSelected(
        _ selection: [FilePath], among verdicts: [(Superblock, Superblock.Verdict)]
    ) throws(PlanError) {
        for mountPoint in selection {
            let matching = verdicts.filter { $0.0.isSelected([mountPoint]) }
            guard let (_, verdict) = matching.last else { throw .notMounted(mountPoint) }
            if matching.allSatisfy({ $0.1.action == .skip }) { throw .notPlanned(mountPoint, verdict.reason) }
        }
    }

    private static func graph(
        of superblocks: [Superblock], stored: [DeviceNumber: Set<DeviceNumber>], frozen: [DeviceNumber]
    ) throws(PlanError) -> StorageGraph {
        do {
            // The skipped ones are of interest only on the way from a frozen one: a ring elsewhere harms nobody.
            return try StorageGraph(stored, for: frozen)
        } catch {
            let names = Dictionary(superblocks.map { ($0.device, $0.firstMount.mountPoint.escaped) }) { first, _ in
                first
            }
            throw .cycle(error.members.map { names[$0] ?? $0.description })
        }
    }

    private static func order(
        of frozen: [Superblock], _ inventory: StorageInventory, _ storage: StorageGraph, _ policy: PlanPolicy
    ) throws(PlanError) -> FreezeOrder {
        do throws(StorageGraph.Cycle) {
            return try FreezeOrder(
                of: frozen, storedOn: inventory.storedOn, storage: storage,
                hiddenStorage: inventory.hiddenStorage, rules: policy.order)
        } catch {
            let names = Dictionary(frozen.map { ($0.device, $0.firstMount.mountPoint.escaped) }) { first, _ in
                first
            }
            throw .contradiction(error.members.map { names[$0] ?? $0.description })
        }
    }

    private static func notes(
        on policy: PlanPolicy, _ verdicts: [(Superblock, Superblock.Verdict)]
    ) -> [String] {
        // A selection leaves out what the configuration names.
        guard policy.selection == nil else { return [] }
        let planned = verdicts.filter { $0.1.action != .skip }.map(\.0)
        var notes: [String] = []
        for selector in policy.include where !planned.contains(where: { $0.matches(selector) }) {
            notes.append("\(selector) in [filesystems] include matches no filesystem that is frozen or flushed.")
        }
        for selector in policy.exclude where !verdicts.contains(where: { $0.0.matches(selector) }) {
            notes.append("\(selector) in [filesystems] exclude matches no mounted filesystem.")
        }
        let frozen = verdicts.filter { $0.1.action == .freeze }.map(\.0)
        for selector in policy.order.flatMap({ $0.first + $0.then })
        where !frozen.contains(where: { $0.matches(selector) }) {
            notes.append("\(selector) in [[filesystems.order]] matches no filesystem that is frozen.")
        }
        return notes + planned.flatMap { $0.notesOnIneffective(policy.exclude) }
    }

    private static func sorted(_ planned: [PlannedFilesystem]) -> [PlannedFilesystem] {
        func rank(_ filesystem: PlannedFilesystem) -> (Int, Int) {
            switch filesystem.action {
            case .freeze: (0, filesystem.step ?? 0)
            case .sync: (1, 0)
            case .skip: (2, 0)
            }
        }
        return planned.sorted { left, right in
            let leftRank = rank(left)
            let rightRank = rank(right)
            if leftRank != rightRank { return leftRank < rightRank }
            if left.mountPoint != right.mountPoint {
                return left.mountPoint.bytes.lexicographicallyPrecedes(right.mountPoint.bytes)
            }
            return left.device < right.device
        }
    }
}

extension FreezePlan {
    /// A plan for the thaw of one filesystem, through its present mounts.
    ///
    /// - Parameter reason: Why, for the plan's entry.
    /// - Returns: Nil if no mount belongs to the superblock.
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
