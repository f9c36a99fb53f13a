import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import LinuxSystem
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
}
