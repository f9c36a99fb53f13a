import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Thaws the filesystems of a ledger after the death of daemon or freezer: at the daemon's start, and by `quiescectl
/// recover`.
public struct Recovery: Sendable {
    public enum Mode: Sendable, Hashable {
        /// By the daemon that holds the run directory's lock: the writer of the ledger is dead.
        case atStart
        /// By hand or by systemd: refused while the daemon lives, unless forced.
        case byHand(isForced: Bool)
    }

    /// Limit for the thaw by an orphaned freezer, and for the thaw by the recovery.
    private static let patience = Duration.seconds(10)
    /// The same for a hanging FIFREEZE, once the other filesystems are thawed: FIFREEZE may hang for hours, and is watched.
    private static let hangingPatience = Duration.seconds(2)

    let runDirectory: RunDirectory
    let me: ProcessIdentity

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
        // The process that has turned the setting on is dead or dying.
        if ledger.expeditesRCU {
            ExpeditedRCU.endForTheDead()
            ledger.setExpeditesRCU(false)
        }
        if let freezer { waitForOrphan(freezer, ledger) }
        // Another guard may have thawed first, which is an outcome, too.
        let outcomes = Dictionary(uniqueKeysWithValues: unsettled.map { ($0, RecoveryOutcome.thaw(.nothingToDo)) })
            .merging(thaw(ledger, until: Moment.now + Self.patience)) { $1 }
        return RecoveryResult(ledger: ledger, outcomes: outcomes, runDirectory: runDirectory, recovery: self)
    }

    /// A freezer without a daemon thaws by itself, and a superblock with a hanging FIFREEZE when FIFREEZE returns. A
    /// freezer that leaves a superblock frozen, or is stopped, is killed. A killed freezer that cannot exit, because
    /// FIFREEZE hangs, runs no code any more.
    private func waitForOrphan(_ freezer: ProcessHandle, _ ledger: Ledger) {
        let begun = Moment.now
        while Moment.now < begun + Self.patience, !ledger.unsettled.isEmpty {
            if freezer.isStopped { break }
            let onlyHangs = ledger.unsettled.allSatisfy { ledger.word($0).state == .freezing }
            if onlyHangs, Moment.now >= begun + Self.hangingPatience { break }
            if freezer.waitForEnd(atMost: .milliseconds(20)) || freezer.isDying { return }
        }
        // SIGSTOP takes effect when FIFREEZE returns: the superblock is frozen then, and its word says freezing.
        if freezer.isStopped || ledger.unsettled.contains(where: { ledger.word($0).state == .frozen }) {
            freezer.kill(within: .seconds(1))
        }
    }

    /// Thaws every unsettled superblock, in order, and returns the outcomes at the deadline. A running freezer keeps
    /// the superblocks that it watches.
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
        // FITHAW can block behind a hanging FIFREEZE.
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
        // A little longer than the limit of the threads, so that their outcomes count.
        return outcomes.wait(until: deadline + .milliseconds(500))
    }
}
