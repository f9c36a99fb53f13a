import SystemPackage

/// One freeze…thaw cycle at a time, from the host's FREEZE to the last thaw hook: pure, event in, effects out.
///
/// ```
/// recovering → idle → planning → flushing → freezeHooks → flushingAgain → checking ─→ freezing → verifying
///                ↑                                                           ↓            ↑           ↓
///                │                                                      sessionHooks → flushingLast   │
///                └──────────────── thawHooks ←── releasing ←── thawing ←─────────────────────────── frozen
/// ```
/// Session hooks come last, so that applications wait for nothing but the end of the freeze.
///
/// Any failure leads to `thawing` if a FIFREEZE was issued, else to `releasing` if a session hook is held, else
/// straight to `thawHooks`. The states are handled in the files `RequestMachine+Planning`, `+Preparing`, `+Window` and
/// `+Ending`, in this order; what channels send at any moment is handled in `+Channels`, and the life of the freezer in
/// `+Freezer`.
///
/// The machine reads no clock: each event has its moment, and the driver sends `timePassed` at `nextDeadline`.
public struct RequestMachine: Sendable {
    public let policy: RequestPolicy
    public internal(set) var state = RequestState.recovering {
        didSet {
            guard state != oldValue else { return }
            stateSince = now
            report(.entered(state))
        }
    }
    /// The start of the present state.
    public private(set) var stateSince = Moment(nanoseconds: 0)

    var freezer = FreezerCondition.starting
    /// Whether to start a freezer when no window is open.
    var isFreezerWanted = false
    /// Whether to open the channels when the freezer is ready or has ended.
    var areChannelsWanted = false
    var request: ActiveRequest?
    var waiting: WaitingFreeze?
    var debts: [ChannelID: ThawDebt] = [:]
    /// Filesystems of the last request with a hanging FIFREEZE, by their index.
    var stuck: [Int: FilePath] = [:]
    /// The same, of the previous instance.
    var leftoverStuck: [FilePath] = []
    /// Processes that keep filesystems stuck, as far as known.
    var holders: [WriteHolder] = []
    var search: WriteHolderSearch?
    /// Hooks whose last call for thaw failed.
    public internal(set) var attention: [Attention] = []
    var shutdownReason: String?
    var publication = Publication()
    /// Channels whose host takes no snapshots.
    var standIns: Set<ChannelID> = []

    /// The awaited work.
    var work = WorkID(number: 0)
    /// The deadline of the present state.
    var deadline: Moment?
    var now = Moment(nanoseconds: 0)
    /// For the record of a previous instance, whose own clock is not known.
    var startClock = WallClock(moment: Moment(nanoseconds: 0), wallTime: WallTime(milliseconds: 0))
    var effects: [RequestEffect] = []

    /// The lost channels of the last `keepLost`.
    private var keptLost: [ChannelID: String]

    /// - Parameter lost: The kept lost channels of the previous instance.
    public init(policy: RequestPolicy, lost: [ChannelID: String] = [:]) {
        self.policy = policy
        keptLost = lost
        debts = lost.mapValues { .lost(reason: $0) }
    }

    /// The first effects. Call before the first event.
    public mutating func start(at clock: WallClock) -> [RequestEffect] {
        now = clock.moment
        stateSince = now
        startClock = clock
        return [.startFreezer, .recover]
    }

    /// Handles an event, and returns the effects in order.
    public mutating func handle(_ event: RequestEvent, at moment: Moment) -> [RequestEffect] {
        now = moment
        effects = []
        dispatch(event)
        startWantedFreezer()
        keepLost()
        publishState()
        return effects
    }

    /// A restart must not turn the failure of the next THAW into success. Only a channel with success for a THAW without a
    /// window needs the memory.
    private mutating func keepLost() {
        // No file is written in the window. The ledger has the request until the end of the window.
        guard !isWindowOpen else { return }
        let lost = lostChannels.filter { rules(of: $0.key).thawWithoutWindow == .success }
        guard lost != keptLost else { return }
        let isMore = lost.contains { keptLost[$0.key] != $0.value }
        keptLost = lost
        // A new loss is kept before the ledger is removed, and forgotten after the answer to THAW.
        effects.insert(.keepLost(lost), at: isMore ? 0 : effects.count)
    }

    /// The moment for `timePassed`; nil for none.
    public var nextDeadline: Moment? {
        var moments = [deadline, search?.limit, freezeLimit, waiting.flatMap(waitingLimit)].compactMap(\.self)
        if isEndingWindow {
            moments += (request?.pendingOperations ?? []).compactMap(thawLimit)
        }
        return moments.min()
    }

    func rules(of channel: ChannelID) -> ChannelRules { policy.rules(of: channel) }

    /// Whether a filesystem may be frozen, by quiesced or by the agent behind `hooks freeze`: nothing is logged, started or
    /// opened (P7).
    public var isWindowOpen: Bool {
        switch state {
        case .freezing, .verifying, .frozen, .holding, .thawing: true
        default: false
        }
    }

    /// Whether a write to a file may hang without bound, so that files are written only in the run directory (P7).
    /// Includes the recovery: a previous instance may have left any filesystem frozen.
    public var mayFileWriteHang: Bool { isWindowOpen || isStuck || state == .recovering }

    /// Whether operations wait for the end of the thaw and of the sessions.
    var isEndingWindow: Bool { state == .thawing || state == .releasing }

    /// The end of the window: the freezer thaws then in any case.
    public var frozenUntil: Moment? { state == .frozen || state == .holding ? request?.windowDeadline : nil }

    /// Whether FREEZE was answered with success, and THAW is awaited.
    var isThawAwaited: Bool { state == .frozen || state == .holding || state == .rehearsing }

    // MARK: What the driver reads

    /// Whether a THAW would end a good window: the driver reads `WindowFindings` first.
    public func endsWindow(_ channel: ChannelID, _ wish: ThawWish) -> Bool {
        guard state == .frozen, let request, request.channel == channel else { return false }
        return wish.request == nil || wish.request == request.id
    }

    /// Whether a deadline may be that of a flush, whose failure quotes dirty memory. Never in the window (P7).
    public var quotesMemory: Bool {
        state == .flushing || state == .flushingAgain || state == .flushingLast
    }

    // MARK: What status shows

    public var requestID: RequestID? { request?.id }
    public var owner: ChannelID? { request?.channel }
    /// Mount points whose FIFREEZE hangs in the kernel.
    public var stuckMountPoints: [FilePath] {
        stuck.sorted { $0.key < $1.key }.map(\.value) + leftoverStuck
    }
    public var isStuck: Bool { !stuck.isEmpty || !leftoverStuck.isEmpty }
    /// Channels whose next THAW will be answered with failure because their window ended early, and why.
    public var lostChannels: [ChannelID: String] {
        debts.compactMapValues { debt in
            if case .lost(let reason) = debt { reason } else { nil }
        }
    }

    // MARK: Dispatch

    private mutating func dispatch(_ event: RequestEvent) {
        switch event {
        case .recovered(let leftover): recovered(leftover)
        case .leftoverSettled(let mountPoint): leftoverSettled(mountPoint)

        case .registered(let channel, let isStandIn): registered(channel, isStandIn: isStandIn)
        case .hotBackup(let channel, let operation): hotBackup(channel, operation)
        case .freeze(let channel, let operation, let id, let options, let clock):
            freezeAsked(channel, operation, id, options, clock)
        case .thaw(let channel, let operation, let wish, let findings):
            thawAsked(channel, operation, wish, findings)
        case .thawUndelivered(let channel, let reason): thawUndelivered(channel, reason)
        case .channelLost(let channel, let reason): channelLost(channel, reason)
        case .acknowledge(let channel, let operation): acknowledged(channel, operation)
        case .attentionRecalled(let attention): attentionRecalled(attention)
        case .pastRecalled: pastRecalled()
        case .recorded: publication.isDue = true
        case .publicationEnded(let isDone): publicationEnded(isDone: isDone)
        case .publicationDue: publicationDue()

        case .opened(let work, let planned): if work == self.work { opened(planned) }
        case .openingFailed(let work, let reason, let plan, let mountPoint):
            if work == self.work { openingFailed(reason, plan, mountPoint) }
        case .handOverFailed(let work, let reason): if work == self.work { handOverFailed(reason) }
        case .flushed(let work, let device, let result): if work == self.work { flushed(device, result) }
        case .memoryRead(let memory): request?.memory = memory
        case .writeHoldersFound(let work, let holders): if work == search?.id { writeHoldersFound(holders) }
        case .mountsChecked(let work, let change, let allFrozen):
            if work == self.work { mountsChecked(change, allFrozen: allFrozen) }
        case .hookFinished(let work, let run): if work == self.work { hookFinished(run) }
        case .sessionEnded(let index, let run): sessionEnded(index, run)

        case .freezerReady: freezerReady()
        case .freezerPrepared: freezerPrepared()
        case .freezerRefused(let error): freezerRefused(error)
        case .freezerEnded(let how, let isByForce): freezerEnded(how, isByForce: isByForce)
        case .freezerDue: isFreezerWanted = true
        case .freezerHangs: freezerHangs()
        case .froze(let index, let result): froze(index, result)
        case .freezerThaws(let cause): freezerThaws(cause)
        case .thawed(let index, let result): thawed(index, result)
        case .thawFinished: thawFinished()

        case .timePassed(let findings): timePassed(findings)
        case .shutdown(let reason): shutdown(reason)
        }
    }

    private mutating func timePassed(_ findings: DeadlineFindings) {
        if findings.isEndedByForce { recoveredByForce() }
        if let memory = findings.memory { request?.memory = memory }
        // Again at the end: the effects of a deadline may leave operations overdue.
        defer { answerOverdueOperations() }
        if let waiting, let limit = waitingLimit(waiting), now >= limit {
            refuseWaiting("the hooks of the request before took too long")
        }
        answerOverdueOperations()
        if let freezeLimit, now >= freezeLimit {
            let limit = owner.flatMap { rules(of: $0).freezeAnswerLimit } ?? .zero
            fail("FREEZE could not be finished within \(DurationText.text(limit))")
        }
        if let search, now >= search.limit { searchTimedOut() }
        guard let deadline, now >= deadline else { return }
        self.deadline = nil
        switch state {
        case .planning: planningTimedOut()
        case .flushing, .flushingAgain, .flushingLast: flushTimedOut()
        case .checking, .verifying: fail("reading the mount table took too long")
        case .freezeHooks, .sessionHooks, .thawHooks: hookTimedOut()
        case .freezing: freezeTimedOut()
        case .frozen, .holding: fail(windowExpired)
        case .rehearsing:
            fail("THAW did not come within \(windowLimit.name)")
        case .thawing: thawTimedOut()
        case .releasing: releaseTimedOut()
        case .recovering, .idle, .stopped: break
        }
    }

    /// New work: answers to the work before are ignored.
    mutating func nextWork(for duration: Duration?) -> WorkID {
        work = WorkID(number: work.number + 1)
        deadline = duration.map { now + $0 }
        return work
    }

    mutating func emit(_ effect: RequestEffect) {
        // One allocation instead of one for every doubling: writers wait in the window.
        if effects.isEmpty { effects.reserveCapacity(8) }
        effects.append(effect)
    }

    /// Whether the answer to the work is still awaited.
    public func isAwaited(_ work: WorkID) -> Bool { work == self.work }

    /// Answers an operation.
    mutating func answer(
        _ channel: ChannelID, _ operation: OperationID, _ answer: OperationAnswer,
        _ detail: AnswerDetail = AnswerDetail()
    ) {
        var detail = detail
        if detail.request == nil, request?.channel == channel { detail.request = request?.id }
        detail.isDryRun = policy.isDryRun
        emit(.answer(channel, operation, answer, detail))
    }

    /// Reports progress to observers.
    mutating func report(_ event: RequestProgress.Event) {
        emit(.progress(RequestProgress(request: request?.id, channel: request?.channel, event: event)))
    }

    mutating func note(_ level: LogNote.Level, _ message: String, _ fields: [LogNote.Field: String] = [:]) {
        emit(.note(LogNote(level, message, fields)))
    }

    var windowLimit: WindowLimit { request?.windowLimit ?? configuredWindowLimit }

    /// The failure of a window that ended at its deadline.
    var windowExpired: String {
        let (name, limit) = (windowLimit.name, DurationText.text(windowLimit.duration))
        let end = isHooksOnly ? "the hooks were called for thaw" : "everything was thawed"
        let consequence = "\(end), the snapshot may be torn"
        // A window held by a connection is that of `quiescectl exec`, or of a similar program.
        if let owner, rules(of: owner).endsWindowWithConnection {
            return "the command ran longer than \(name) (\(limit)): \(consequence)"
        }
        return "THAW did not come within \(name) (\(limit)): \(consequence)"
    }
}
