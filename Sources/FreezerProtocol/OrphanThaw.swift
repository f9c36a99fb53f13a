import FreezeCore
import LinuxCalls
import SystemPackage

/// How an attempt to thaw one superblock ended.
public enum ThawOutcome: Hashable, Sendable {
    /// It was frozen by us, and now it is not.
    case thawed
    /// It was frozen by us once, but somebody else had thawed it (FITHAW: EINVAL).
    case thawedBySomebodyElse
    /// Nothing of ours was in it.
    case nothingToDo
    /// The kernel refuses to thaw it.
    case failed(Errno)
    /// Its FIFREEZE has not returned yet, or another guard is at it.
    case unfinished
}

/// Thaws what a freezer left behind that is dead, or was sent SIGKILL and hangs in the kernel.
///
/// The freezer must not be able to go on by itself: a FIFREEZE it has in flight succeeds later, in a process that
/// never returns from the kernel, so nobody but this guard would thaw.
public struct OrphanThaw: Sendable {
    private let ledger: Ledger
    private let me: ProcessIdentity
    private let freezer: ProcessHandle?

    /// - Parameter freezer: The process that issued the FIFREEZEs; nil if it has ended.
    public init(ledger: Ledger, me: ProcessIdentity, freezer: ProcessHandle?) {
        self.ledger = ledger
        self.me = me
        self.freezer = freezer
    }

    /// Thaws one superblock. Blocks: until FITHAW returns, and while a FIFREEZE is in flight until the deadline.
    ///
    /// - Parameter deadline: Nil to try until it is done.
    public func thaw(_ index: Int, through descriptor: FileDescriptor, until deadline: Moment?) -> ThawOutcome {
        let pause = Duration.milliseconds(20)
        while true {
            let word = ledger.word(index)
            switch word.state {
            case .thawed, .refused:
                return .nothingToDo
            case .planned:
                // So that the freezer, if it is just about to, does not begin either.
                if ledger.advance(index, from: word, to: LedgerWord(.thawed, by: me)) { return .nothingToDo }
                continue
            case .thawing where word.process == me.asStored || word.process.isAlive:
                // Its winner is at it. If it dies, its place is taken over.
                break
            // Nil: a word written by no guard. Only FITHAW shows whether the superblock is frozen (P1).
            case nil, .freezing, .frozen, .thawing:
                let mine = LedgerWord(.thawing, by: me)
                if ledger.advance(index, from: word, to: mine) {
                    return issueThaw(index, through: descriptor, until: deadline)
                }
                continue
            }
            if isOver(deadline) { return .unfinished }
            waitForFreezer(pause)
        }
    }

    private func issueThaw(
        _ index: Int, through descriptor: FileDescriptor, until deadline: Moment?
    ) -> ThawOutcome {
        let mine = LedgerWord(.thawing, by: me)
        while true {
            // Asked before FITHAW: what fails after the freezer's end cannot be undone by it later.
            let freezerHadEnded = freezer?.hasEnded ?? true
            StopPoint.reach("before a guard's FITHAW")
            do throws(Errno) {
                try FilesystemFreezing.thaw(descriptor)
                StopPoint.reach("after a guard's FITHAW")
                _ = ledger.advance(index, from: mine, to: LedgerWord(.thawed, by: me))
                return .thawed
            } catch .invalidArgument {
                // While FIFREEZE waits for writers, the superblock does not count as frozen: try again until the
                // process that issued it is gone.
                if freezerHadEnded {
                    _ = ledger.advance(index, from: mine, to: LedgerWord(.thawed, by: me))
                    return .thawedBySomebodyElse
                }
                if isOver(deadline) { return givenBack(index, .unfinished) }
            } catch {
                if isOver(deadline) { return givenBack(index, .failed(error)) }
            }
            waitForFreezer(.milliseconds(20))
        }
    }

    private func isOver(_ deadline: Moment?) -> Bool {
        deadline.map { Moment.now >= $0 } ?? false
    }

    /// Leaves the superblock for a later attempt, or another guard.
    private func givenBack(_ index: Int, _ outcome: ThawOutcome) -> ThawOutcome {
        let freezing = LedgerWord(.freezing, by: freezer?.identity ?? me)
        _ = ledger.advance(index, from: LedgerWord(.thawing, by: me), to: freezing)
        return outcome
    }

    private func waitForFreezer(_ pause: Duration) {
        guard let freezer, !freezer.hasEnded else {
            _ = pollDescriptors([], until: Moment.now + pause)
            return
        }
        _ = freezer.waitForEnd(atMost: pause)
    }
}
