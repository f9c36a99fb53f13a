import FreezeCore
import FreezerProtocol
import LinuxCalls
import Synchronization
import SystemPackage

/// One superblock of a request, with the thread that freezes and thaws it.
///
/// The thread stands ready before the window begins. It issues FIFREEZE and later FITHAW; a FIFREEZE that hangs
/// holds up nothing but its own filesystem, and is followed by its FITHAW the moment it returns, however late.
final class FreezeTarget: Sendable {
    let index: Int
    let step: Int
    private let descriptor: FileDescriptor
    private let ledger: Ledger
    private let me: ProcessIdentity
    private let report: @Sendable (FreezerNews) -> Void
    private let orders = ThreadSemaphore()
    private let state = Mutex(Phase.waiting)

    enum Phase {
        case waiting
        case freezing
        /// It has to be thawed as soon as its FIFREEZE returns.
        case freezingUnwanted
        case frozen
        case thawing
        /// Nothing of ours is in it, and nothing more is done to it.
        case settled
    }

    /// What is touched by the thread: enough for an ioctl and a report. Locked memory is paid for each.
    private static let stackSize = 64 * 1024

    init(
        index: Int, descriptor: FileDescriptor, ledger: Ledger, me: ProcessIdentity,
        report: @escaping @Sendable (FreezerNews) -> Void
    ) throws(Errno) {
        self.index = index
        self.step = ledger.superblocks[index].step
        self.descriptor = descriptor
        self.ledger = ledger
        self.me = me
        self.report = report
        try OperatingSystemThread.start("freeze \(index)", stackSize: Self.stackSize) { [self] in work() }
    }

    // MARK: Orders, from the main thread

    var phase: Phase { state.withLock { $0 } }

    func freeze() {
        let begins = state.withLock { phase in
            guard phase == .waiting else { return false }
            phase = .freezing
            return true
        }
        if begins { orders.signal() }
    }

    /// Has it thawed: now if it is frozen, when its FIFREEZE returns if that is in flight, never if it was not begun.
    func thaw() {
        let begins = state.withLock { phase in
            switch phase {
            case .waiting:
                // Here and not by the thread, which comes to it later than the request is reported released.
                try? descriptor.close()
                phase = .settled
                return true
            case .freezing:
                phase = .freezingUnwanted
                return false
            case .frozen:
                phase = .thawing
                return true
            case .freezingUnwanted, .thawing, .settled:
                return false
            }
        }
        if begins { orders.signal() }
    }

    // MARK: The thread

    private func work() {
        orders.wait()
        guard phase != .settled else { return }
        guard StopPoint.inTurn(issueFreeze) else { return }
        orders.wait()
        issueThaw()
    }

    /// Called before the target is reported frozen. An order to thaw in answer to the report therefore finds the
    /// target frozen, and the next steps of the thaw wait for the target. If the thaw was ordered earlier, signals
    /// the order awaited by the thread.
    private func becomeFrozen() {
        let isUnwanted = state.withLock { phase in
            let isUnwanted = phase == .freezingUnwanted
            phase = isUnwanted ? .thawing : .frozen
            return isUnwanted
        }
        if isUnwanted { orders.signal() }
    }

    /// Nothing of ours is in the superblock; before that is reported, the descriptor is closed, so that it can be
    /// unmounted then.
    private func settle() {
        try? descriptor.close()
        state.withLock { $0 = .settled }
    }

    /// Tells whether the superblock is frozen now, by us.
    private func issueFreeze() -> Bool {
        let freezing = LedgerWord(.freezing, by: me)
        let started = Moment.now
        let before = ledger.word(index)
        guard before.state == .planned, ledger.advance(index, from: before, to: freezing) else {
            settle()
            report(.froze(index: index, error: .canceled, started: started, ended: Moment.now))
            return false
        }
        StopPoint.reach("before FIFREEZE \(turn)")
        do throws(Errno) {
            try FilesystemFreezing.freeze(descriptor)
        } catch {
            _ = ledger.advance(index, from: freezing, to: LedgerWord(.refused, by: me))
            settle()
            report(.froze(index: index, error: error, started: started, ended: Moment.now))
            return false
        }
        StopPoint.reach("after FIFREEZE \(turn)")
        // A daemon takes over a superblock that is being frozen only after it sent us SIGKILL; then nothing here runs.
        _ = ledger.advance(index, from: freezing, to: LedgerWord(.frozen, by: me))
        becomeFrozen()
        report(.froze(index: index, error: nil, started: started, ended: Moment.now))
        return true
    }

    private func issueThaw() {
        let thawing = LedgerWord(.thawing, by: me)
        // Only the guard that moves the word from frozen to thawing issues FITHAW: a second FITHAW could undo the
        // freeze of another agent. A superblock with a word written by no guard is thawed (P1 before P5).
        let isOurs = StopPoint.inTurn {
            let word = ledger.word(index)
            let expected = word.state == nil ? word : LedgerWord(.frozen, by: me)
            let isOurs = ledger.advance(index, from: expected, to: thawing)
            StopPoint.reach("before FITHAW \(turn)")
            return isOurs
        }
        guard isOurs else {
            settle()
            report(.thawed(index: index, error: .canceled, started: Moment.now, ended: Moment.now))
            return
        }
        var pause = Duration.milliseconds(10)
        while true {
            let started = Moment.now
            var failure: Errno?
            do throws(Errno) {
                try FilesystemFreezing.thaw(descriptor)
            } catch {
                failure = error
            }
            let ended = Moment.now
            StopPoint.reach("after a FITHAW")
            // EINVAL: somebody else thawed it. That is for the daemon to judge; here there is nothing left to do.
            let isThawed = failure == nil || failure == .invalidArgument
            if isThawed {
                _ = ledger.advance(index, from: thawing, to: LedgerWord(.thawed, by: me))
                settle()
            }
            report(.thawed(index: index, error: failure, started: started, ended: ended))
            if isThawed { return }
            // The filesystem refuses (its device fails): it stays frozen until it does not.
            _ = pollDescriptors([], until: Moment.now + pause)
            pause = min(pause * 2, .seconds(1))
        }
    }

    /// How many superblocks have come as far as this one, with this one: the name of a stop point.
    private var turn: Int {
        let state = ledger.word(index).state
        return ledger.superblocks.indices.count { other in
            switch ledger.word(other).state {
            case .planned: false
            case .frozen: state != .thawing
            default: true
            }
        }
    }
}
