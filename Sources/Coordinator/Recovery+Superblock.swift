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

    /// Whether another superblock has the device number now, which must not be thawed (P5). Unknown counts as the same
    /// superblock (P1).
    private func isAnother(_ life: UInt64?, than superblock: LedgerContents.Superblock) -> Bool {
        guard let before = superblock.life, let life else { return false }
        return life != before
    }

    /// Marks the superblock as thawed: no freeze of quiesce can be left.
    private func settle(_ ledger: Ledger, _ index: Int, _ outcome: RecoveryOutcome) -> RecoveryOutcome {
        _ = ledger.advance(index, from: ledger.word(index), to: LedgerWord(.thawed, by: me))
        return outcome
    }

    /// Finds the superblock in the present mount tables, by the device number: in the own mount namespace, then, more
    /// slowly, in all others.
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

    /// For a filesystem whose container has ended.
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
