import FreezeCore
import Glibc
import Ledger
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage

/// Thaws what a ledger names after its owners died: at the daemon's start, and by `quiescectl recover`.
public struct Recovery: Sendable {
    public enum Mode: Sendable, Hashable {
        /// By the daemon that holds the run directory's lock: whoever wrote the ledger is gone.
        case atStart
        /// By hand or by systemd: refused while the daemon lives, unless forced.
        case byHand(isForced: Bool)
    }

    /// How long an orphaned freezer is given to thaw by itself, and our own thaw to finish.
    private static let patience = Duration.seconds(10)
    /// The same for a FIFREEZE that hangs, once the others are thawed: it may take hours, and is watched.
    private static let hangingPatience = Duration.seconds(2)

    private let runDirectory: RunDirectory
    private let me: ProcessIdentity

    public init(runDirectory: RunDirectory, me: ProcessIdentity = .current) {
        self.runDirectory = runDirectory
        self.me = me
    }

    /// Blocks, for some 20 seconds at most.
    ///
    /// - Returns: Nil if there is no unfinished request.
    public func run(_ mode: Mode) throws(RecoveryError) -> RecoveryResult? {
        let ledger: Ledger
        let freezer: ProcessHandle?
        do throws(LedgerError) {
            guard let found = try runDirectory.openLedger() else { return nil }
            ledger = found
        } catch {
            throw RecoveryError(error)
        }
        do throws(Errno) {
            freezer = try ledger.freezer?.openStored()
        } catch {
            throw RecoveryError(cannotLookAt: ledger, error)
        }
        let unsettled = ledger.unsettled
        if case .byHand(let isForced) = mode, ledger.daemon.isAlive {
            guard isForced else { throw RecoveryError(ownerAlive: ledger) }
            // First: the daemon reads the ledger when it notices the end of its freezer.
            ledger.setEndedByHand()
            freezer?.kill(within: .seconds(1))
        }
        ledger.fencePlanned(by: me)
        // The one that has turned it on is dead, or as good as dead.
        if ledger.expeditesRCU {
            ExpeditedRCU.endForTheDead()
            ledger.setExpeditesRCU(false)
        }
        if let freezer { waitForOrphan(freezer, ledger) }
        // Another guard may have been quicker: that is told, too.
        let outcomes = Dictionary(uniqueKeysWithValues: unsettled.map { ($0, RecoveryOutcome.thaw(.nothingToDo)) })
            .merging(thaw(ledger, until: Moment.now + Self.patience)) { $1 }
        return RecoveryResult(ledger: ledger, outcomes: outcomes, runDirectory: runDirectory, recovery: self)
    }

    /// A freezer whose daemon died thaws by itself, and what hangs in the kernel the moment that returns. One that
    /// leaves a superblock frozen, or stands still, is no guard: it is killed. Otherwise it is the best there is. One
    /// that was killed, and cannot end because of what hangs, does nothing any more.
    private func waitForOrphan(_ freezer: ProcessHandle, _ ledger: Ledger) {
        let begun = Moment.now
        while Moment.now < begun + Self.patience, !ledger.unsettled.isEmpty {
            if freezer.isStopped { break }
            let onlyHangs = ledger.unsettled.allSatisfy { ledger.word($0).state == .freezing }
            if onlyHangs, Moment.now >= begun + Self.hangingPatience { break }
            if freezer.waitForEnd(atMost: .milliseconds(20)) || freezer.isDying { return }
        }
        // SIGSTOP takes effect when FIFREEZE returns: then the superblock is frozen, and its word still says freezing.
        if freezer.isStopped || ledger.unsettled.contains(where: { ledger.word($0).state == .frozen }) {
            freezer.kill(within: .seconds(1))
        }
    }

    /// Thaws every unsettled superblock, in order, and tells how it went by the deadline. What a living freezer
    /// watches is left to it.
    func thaw(_ ledger: Ledger, until deadline: Moment) -> [Int: RecoveryOutcome] {
        let unsettled = ledger.unsettled
        let outcomes = RecoveryOutcomes(of: unsettled)
        let freezer: ProcessHandle?
        do throws(Errno) {
            freezer = try ledger.freezer?.openStored()
        } catch {
            return outcomes.soFar
        }
        if let freezer, !freezer.isDying {
            return Dictionary(uniqueKeysWithValues: unsettled.map { ($0, .watchedByFreezer) })
        }
        let thaw = OrphanThaw(ledger: ledger, me: me, freezer: freezer)
        // FITHAW can block behind it, too.
        let onlyHangs = unsettled.allSatisfy { ledger.word($0).state == .freezing }
        let deadline = onlyHangs ? min(deadline, Moment.now + Self.hangingPatience) : deadline
        let started: Void? = try? OperatingSystemThread.start("recover") {
            OrphanThaw.inOrder(ledger) { index in
                guard unsettled.contains(index) else { return }
                let isHanging = ledger.word(index).state == .freezing
                let limit = isHanging ? min(deadline, Moment.now + Self.hangingPatience) : deadline
                outcomes.add(index, thawOne(ledger, index, with: thaw, until: limit))
            }
        }
        guard started != nil else { return outcomes.soFar }
        // A little longer than the threads take, so that their own words are heard.
        return outcomes.wait(until: deadline + .milliseconds(500))
    }

    private func thawOne(
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

/// How one superblock fared.
public enum RecoveryOutcome: Hashable, Sendable {
    case thaw(ThawOutcome)
    /// Its FIFREEZE hangs in a freezer that lives, and thaws it when that returns.
    case watchedByFreezer
    /// It is in no mount table any more, and no filesystem lives on its device: nothing can be frozen.
    case gone
    /// Its place is another filesystem's now. Nothing was done to that.
    case replaced
    /// It is in no mount table any more: nobody can be stuck on it, but it may still be frozen.
    case notMounted
    /// It could not even be opened.
    case unreachable(String)

    /// Whether nothing of ours can be left in it.
    public var isSettled: Bool {
        switch self {
        case .thaw(.thawed), .thaw(.thawedBySomebodyElse), .thaw(.nothingToDo), .gone, .replaced: true
        case .thaw(.failed), .thaw(.unfinished), .watchedByFreezer, .notMounted, .unreachable: false
        }
    }
}

/// Collects what the threads answer.
private final class RecoveryOutcomes: Sendable {
    private let outcomes: Mutex<[Int: RecoveryOutcome]>
    private let remaining: Countdown?

    /// Unfinished, all of them, until more is known.
    init(of indices: [Int]) {
        outcomes = Mutex(Dictionary(uniqueKeysWithValues: indices.map { ($0, .thaw(.unfinished)) }))
        remaining = try? Countdown(from: indices.count)
    }

    func add(_ index: Int, _ outcome: RecoveryOutcome) {
        outcomes.withLock { $0[index] = outcome }
        _ = remaining?.step()
    }

    var soFar: [Int: RecoveryOutcome] { outcomes.withLock { $0 } }

    func wait(until deadline: Moment) -> [Int: RecoveryOutcome] {
        if !soFar.isEmpty { _ = remaining?.wait(until: deadline) }
        return soFar
    }
}
