import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage

/// One request, as the freezer's main thread sees it: prepared, frozen step by step, thawed, released.
struct FreezerRequest {
    /// How long the next step's thaw waits for a step whose FITHAW does not return.
    static let patience = Duration.seconds(1)

    let id: FreezerRequestID
    private let ledger: Ledger
    private let superblockCount: Int
    private let me: ProcessIdentity
    private let report: @Sendable (FreezerNews) -> Void
    private var pending: [FileDescriptor] = []
    private var targets: [FreezeTarget] = []
    private var freezeDeadline: Moment?
    private var windowDeadline: Moment?
    /// The steps still to be thawed, and since when the last ordered one is waited for; nil before the thaw.
    private var thaw: (remaining: [Int], current: Int?, since: Moment)?
    private var isThawFinished = false

    init(
        _ id: FreezerRequestID, ledger: Ledger, superblockCount: Int, me: ProcessIdentity,
        report: @escaping @Sendable (FreezerNews) -> Void
    ) {
        self.id = id
        self.ledger = ledger
        self.superblockCount = superblockCount
        self.me = me
        self.report = report
        ledger.setFreezer(me)
    }

    // MARK: Preparing

    /// Owns the descriptors from here on, and starts the threads once all are there.
    mutating func receive(_ descriptors: [FileDescriptor], from first: Int) throws(Errno) {
        guard first == pending.count, targets.isEmpty, pending.count + descriptors.count <= superblockCount,
            superblockCount == ledger.superblocks.count
        else {
            for descriptor in descriptors { try? descriptor.close() }
            throw .invalidArgument
        }
        pending += descriptors
        if pending.count == superblockCount { try start() }
    }

    private mutating func start() throws(Errno) {
        while let descriptor = pending.first {
            let target = try FreezeTarget(
                index: targets.count, descriptor: descriptor, ledger: ledger, me: me, report: report)
            // From here on the target's thread owns the descriptor.
            pending.removeFirst()
            targets.append(target)
        }
        report(.prepared)
    }

    // MARK: Freezing

    mutating func freeze(step: Int, freezeDeadline: Moment, windowDeadline: Moment) {
        if thaw == nil {
            self.freezeDeadline = freezeDeadline
            self.windowDeadline = windowDeadline
        }
        // An order that was held up past its deadline, or came after the thaw began, freezes nothing. Without a word
        // the daemon would take these for hanging.
        let isTooLate = thaw != nil || expiredDeadline(Moment.now) != nil
        for target in targets where target.step == step {
            if isTooLate {
                report(.froze(index: target.index, error: .canceled, started: Moment.now, ended: Moment.now))
            } else {
                target.freeze()
            }
        }
    }

    // MARK: Thawing

    mutating func beginThaw(cause: ThawCause? = nil) {
        guard thaw == nil else { return }
        if let cause { report(.thawing(cause)) }
        // What was frozen last, because others are stored on it, is thawed first.
        let steps = Set(targets.map(\.step)).sorted()
        thaw = (steps, nil, Moment.now)
        // What never began must not begin any more, whatever its step's turn.
        for target in targets where target.phase == .waiting || target.phase == .freezing { target.thaw() }
    }

    /// Does what time and the threads have made due.
    mutating func advance(now: Moment) {
        if thaw == nil, let cause = expiredDeadline(now) { beginThaw(cause: cause) }
        guard var progress = thaw, !isThawFinished else { return }
        while true {
            if let current = progress.current, isBusy(step: current), now - progress.since < Self.patience {
                break
            }
            guard let next = progress.remaining.popLast() else {
                progress.current = nil
                isThawFinished = true
                report(.thawFinished)
                break
            }
            for target in targets where target.step == next { target.thaw() }
            progress.current = next
            progress.since = now
        }
        thaw = progress
    }

    /// When `advance` must be called although nothing happened.
    var nextDeadline: Moment? {
        if let thaw {
            if isThawFinished { return nil }
            return thaw.current == nil ? thaw.since : thaw.since + Self.patience
        }
        return isEveryTargetFrozen ? windowDeadline : [freezeDeadline, windowDeadline].compactMap(\.self).min()
    }

    private func expiredDeadline(_ now: Moment) -> ThawCause? {
        if let windowDeadline, now >= windowDeadline { return .windowDeadline }
        if let freezeDeadline, now >= freezeDeadline, !isEveryTargetFrozen { return .freezeDeadline }
        return nil
    }

    private var isEveryTargetFrozen: Bool {
        targets.allSatisfy { $0.phase == .frozen }
    }

    private func isBusy(step: Int) -> Bool {
        targets.contains { $0.step == step && $0.phase == .thawing }
    }

    // MARK: End

    /// Whether nothing of ours is in any superblock. False while a FIFREEZE hangs.
    var isSettled: Bool {
        thaw != nil && targets.allSatisfy { $0.phase == .settled }
    }

    /// Closes what never got a thread. The threads close their own.
    mutating func abandonDescriptors() {
        for descriptor in pending { try? descriptor.close() }
        pending = []
    }
}
