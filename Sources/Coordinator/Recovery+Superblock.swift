import FreezeCore
import FreezerProtocol
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Finds one superblock of a ledger, and thaws it.
extension Recovery {
    func thawOne(
        _ ledger: Ledger, _ index: Int, with thaw: OrphanThaw, until deadline: Moment
    ) -> RecoveryOutcome {
        do {
            guard let target = try Self.open(ledger.superblocks[index]) else {
                return thawUnmounted(ledger, index, with: thaw, until: deadline)
            }
            defer { TargetOpener.close([target]) }
            if isAnother(SuperblockLife.number(of: target.filesystem.mount), than: ledger.superblocks[index]) {
                return settle(ledger, index, .replaced)
            }
            return .thaw(thaw.thaw(index, through: target.descriptor, until: deadline))
        } catch {
            // The device also leads to a frozen filesystem, because a frozen filesystem is in use. A container
            // with a user namespace can cover the mount and keep every other process from opening the mount.
            let outcome = thawUnmounted(ledger, index, with: thaw, until: deadline)
            return outcome == .notMounted ? .unreachable("\(error)") : outcome
        }
    }

    /// Whether a superblock that has the same number now is not the one that was frozen: that is not ours to thaw (P5).
    /// What cannot be told counts as the same (P1).
    private func isAnother(_ life: UInt64?, than superblock: LedgerContents.Superblock) -> Bool {
        guard let before = superblock.life, let life else { return false }
        return life != before
    }

    /// Nothing of ours can be left in it.
    private func settle(_ ledger: Ledger, _ index: Int, _ outcome: RecoveryOutcome) -> RecoveryOutcome {
        _ = ledger.advance(index, from: ledger.word(index), to: LedgerWord(.thawed, by: me))
        return outcome
    }

    /// Finds the superblock in the mount tables of now, by its device number: in our own mount namespace or, which
    /// takes longer, in any other.
    private static func open(_ superblock: LedgerContents.Superblock) throws -> TargetOpener.Target? {
        if let target = try? open(superblock, in: .own) { return target }
        return try open(superblock, in: .all)
    }

    private static func open(
        _ superblock: LedgerContents.Superblock, in namespaces: PlanPolicy.MountNamespaces
    ) throws -> TargetOpener.Target? {
        let tables = try MountTables(namespaces)
        let plan = try FreezePlan.reaching(
            superblock.device, through: try tables.read(), reason: "named by the ledger")
        return try plan.flatMap { try TargetOpener(tables).open($0).first }
    }

    /// The container that it was mounted in may have ended.
    private func thawUnmounted(
        _ ledger: Ledger, _ index: Int, with thaw: OrphanThaw, until deadline: Moment
    ) -> RecoveryOutcome {
        let superblock = ledger.superblocks[index]
        let directory = runDirectory.path
        if isAnother(SuperblockLife.number(on: superblock.device), than: superblock) {
            return settle(ledger, index, .replaced)
        }
        let work: @Sendable () -> RecoveryOutcome = {
            let finding = try? UnmountedFilesystem.reach(
                superblock.device, life: superblock.life, over: directory
            ) { root in
                thaw.thaw(index, through: root, until: deadline)
            }
            switch finding {
            case .reached(let outcome): return .thaw(outcome)
            case .gone: return settle(ledger, index, .gone)
            case .unknown, nil: return .notMounted
            }
        }
        return AbandonableWork.run([work], until: deadline)[0] ?? .thaw(.unfinished)
    }
}
