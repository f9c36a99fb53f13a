import FreezeCore
import SystemPackage
import Testing

/// Drives a machine by hand: two steps, three filesystems to freeze, two hooks.
struct MachineBench {
    static let host = ChannelID.hyperV
    static let other = ChannelID.hold(1)
    static let hooks = [PlannedHook(name: "10-a"), PlannedHook(name: "20-b")]

    var machine: RequestMachine
    var now = Moment(nanoseconds: 1)
    /// What the last event led to, notes left out.
    var effects: [RequestEffect] = []
    /// All that all events led to, notes and progress too.
    private(set) var history: [RequestEffect] = []
    var plan = MachineBench.plan(steps: [0, 0, 1])
    var hooks = MachineBench.hooks
    private var operations: UInt64 = 0
    /// The wall time at the start of the machine.
    static let wallTime = WallTime(milliseconds: 1_795_257_405_123)
    /// The wall time of the next FREEZE.
    var wallTime = MachineBench.wallTime

    /// Whether every search for sleeping writers ends at once without a finding.
    var findsNoWriteHolders = true
    /// Whether every freezer that is started again is ready at once.
    var startsFreezer = true
    /// Whether the pause before a successor of the freezer ends at once.
    var endsPauses = true

    /// A recovered machine with a ready freezer.
    init(
        policy: RequestPolicy = RequestPolicy(), recovered leftover: Leftover? = nil,
        lost: [ChannelID: String] = [:]
    ) {
        machine = RequestMachine(policy: policy, lost: lost)
        effects = machine.start(at: WallClock(moment: now, wallTime: Self.wallTime))
        send(.freezerReady)
        send(.recovered(leftover))
    }

    init(recovering policy: RequestPolicy) {
        machine = RequestMachine(policy: policy)
        effects = machine.start(at: WallClock(moment: now, wallTime: Self.wallTime))
    }

    /// A request in a state, without a fault so far.
    static func request(
        of channel: ChannelID, in state: RequestState, policy: RequestPolicy = RequestPolicy()
    ) -> (MachineBench, OperationID) {
        var bench = MachineBench(policy: policy)
        let operation = bench.freeze(channel)
        if state == .thawing || state == .thawHooks {
            bench.goOn(to: .frozen)
            _ = bench.thaw(channel)
        }
        bench.goOn(to: state)
        #expect(bench.machine.state == state)
        return (bench, operation)
    }

    static func plan(steps: [Int]) -> FreezePlan {
        let filesystems = steps.enumerated().map { index, step in
            PlannedFilesystem(
                device: DeviceNumber(major: 8, minor: UInt32(index)),
                mount: MountEntry(
                    mountID: UInt64(index), parentID: 0, device: DeviceNumber(major: 8, minor: UInt32(index)),
                    root: "/", mountPoint: FilePath("/\(index)"), mountOptions: "rw", filesystemType: "ext4",
                    source: "none", superblockOptions: "rw"),
                action: .freeze, reason: "", step: step)
        }
        return FreezePlan(filesystems: filesystems)
    }

    // MARK: Events

    mutating func send(_ event: RequestEvent, after pause: Duration = .milliseconds(1)) {
        now = now + pause
        var all = machine.handle(event, at: now)
        if findsNoWriteHolders {
            for case .findWriteHolders(let work, _) in all {
                all += machine.handle(.writeHoldersFound(work, []), at: now)
            }
            all.removeAll { if case .findWriteHolders = $0 { true } else { false } }
        }
        if endsPauses, all.contains(.pauseBeforeFreezer) {
            all += machine.handle(.freezerDue, at: now)
            all.removeAll { $0 == .pauseBeforeFreezer }
        }
        if startsFreezer, all.contains(.startFreezer) {
            all += machine.handle(.freezerReady, at: now)
            all.removeAll { $0 == .startFreezer }
        }
        history += all
        effects = all.filter { effect in
            switch effect {
            case .note, .progress, .readMemory: false
            default: true
            }
        }
    }

    mutating func freeze(
        _ channel: ChannelID = host, _ options: FreezeOptions = FreezeOptions()
    ) -> OperationID {
        let operation = newOperation()
        let clock = WallClock(moment: now + .milliseconds(1), wallTime: wallTime)
        send(.freeze(channel, operation, RequestID("request \(operation.number)"), options, clock))
        return operation
    }

    mutating func thaw(
        _ channel: ChannelID = host, of request: RequestID? = nil, isForced: Bool = false,
        findings: WindowFindings = .none
    ) -> OperationID {
        let operation = newOperation()
        send(.thaw(channel, operation, ThawWish(request: request, isForced: isForced), findings))
        return operation
    }

    mutating func hotBackup(_ channel: ChannelID = host) -> OperationID {
        let operation = newOperation()
        send(.hotBackup(channel, operation))
        return operation
    }

    private mutating func newOperation() -> OperationID {
        operations += 1
        return OperationID(number: operations)
    }

    /// Lets time pass until the machine's next deadline.
    mutating func waitForDeadline() {
        guard let deadline = machine.nextDeadline else { return }
        send(.timePassed(), after: deadline - now)
    }

    // MARK: Going on without faults

    /// Answers what the last effects ask for, until a state is reached; tells whether it was.
    @discardableResult
    mutating func goOn(to state: RequestState) -> Bool {
        for _ in 0..<40 where machine.state != state {
            guard let event = answer() else { return false }
            switch event {
            case .flushed(let work, _, _): flushAll(work)
            case .froze(let step, let result):
                for index in indices(step) { send(.froze(index, result)) }
            case .thawed(_, let result):
                for index in indices(nil).reversed() where machine.state == .thawing {
                    send(.thawed(index, result))
                }
            default: send(event)
            }
        }
        return machine.state == state
    }

    /// Reports every filesystem of a flush as flushed.
    mutating func flushAll(_ work: WorkID) {
        for case .flush(work, let filesystems) in history {
            for filesystem in filesystems { send(.flushed(work, filesystem.device, result())) }
        }
    }

    /// The plain answer; for a flush, a step and the thaw, that of all filesystems.
    private func answer() -> RequestEvent? {
        for effect in effects {
            switch effect {
            case .open(let work, _, _, _), .openAgain(let work):
                return .opened(work, PlannedRequest(plan: plan, hooks: hooks))
            case .handOver: return .freezerPrepared
            case .flush(let work, let filesystems): return .flushed(work, filesystems[0].device, result())
            case .checkMounts(let work), .pollMounts(let work), .verify(let work):
                return .mountsChecked(work, change: nil, allFrozen: true)
            case .runHook(let work, let index, let phase, _, _, _): return .hookFinished(work, run(index, phase))
            case .startSession(let work, let index, _): return .hookFinished(work, run(index, .freeze, .ready))
            case .runLeftoverHook(let work, _, _, _, _, _): return .hookFinished(work, run(0, .thaw))
            case .freeze(let step, _, _): return .froze(step, result())
            case .thaw, .takeOverThaw: return .thawed(0, result())
            default: continue
            }
        }
        return nil
    }

    private func indices(_ step: Int?) -> [Int] {
        plan.filesystems.indices.filter { step == nil || plan.filesystems[$0].step == step }
    }

    func result(_ error: Errno? = nil) -> TimedResult { TimedResult(error: error, started: now, ended: now) }

    func run(_ index: Int, _ phase: HookPhase, _ outcome: HookOutcome = .exited(status: 0)) -> HookRun {
        HookRun(
            name: hooks[index].name, phase: phase, outcome: outcome, output: "", isOutputTruncated: false,
            started: now, duration: .zero)
    }

    /// Ends a request that is failing, or being thawed: the hook that runs ends, and all is thawed.
    mutating func end(running work: WorkID?) {
        if machine.state == .freezeHooks, let work {
            send(.hookFinished(work, run(0, .freeze, .signalled(signal: 15))))
        }
        if machine.state == .thawHooks, let work, effects.isEmpty || hookCall == nil {
            send(.hookFinished(work, run(1, .thaw)))
        }
        for index in plan.filesystems.indices.reversed() where machine.state == .thawing {
            send(.thawed(index, result()))
        }
        goOn(to: .idle)
    }

    // MARK: What came of it

    /// What an operation was told, whenever that was.
    func told(_ operation: OperationID) -> (verdict: OperationAnswer, detail: AnswerDetail)? {
        for case .answer(_, operation, let verdict, let detail) in history { return (verdict, detail) }
        return nil
    }

    /// What whoever watches was told.
    var events: [RequestProgress.Event] {
        history.compactMap { if case .progress(let progress) = $0 { progress.event } else { nil } }
    }

    /// The last request that is over.
    var lastRecord: RequestRecord? {
        history.compactMap { if case .record(let record) = $0 { record } else { nil } }.last
    }

    /// The answers that the last event led to, in order.
    var answers: [(operation: OperationID, verdict: OperationAnswer)] {
        effects.compactMap {
            if case .answer(_, let operation, let verdict, _) = $0 { (operation, verdict) } else { nil }
        }
    }

    func verdict(of operation: OperationID) -> OperationAnswer? {
        for case .answer(_, operation, let verdict, _) in effects { return verdict }
        return nil
    }

    var work: WorkID? {
        for effect in effects {
            switch effect {
            case .open(let work, _, _, _), .openAgain(let work), .handOver(let work), .flush(let work, _),
                .checkMounts(let work), .pollMounts(let work), .verify(let work):
                return work
            case .runHook(let work, _, _, _, _, _): return work
            default: continue
            }
        }
        return nil
    }

    /// The hooks called by the last event: index, phase, result.
    var hookCall: String? {
        for effect in effects {
            if case .runHook(_, let index, let phase, let succeeded, _, _) = effect {
                return "\(index) \(phase.rawValue) \(succeeded ? "ok" : "failed")"
            }
            if case .runLeftoverHook(_, let name, _, _, _, _) = effect { return name }
        }
        return nil
    }

    func contains(_ effect: RequestEffect) -> Bool { effects.contains(effect) }

    var record: RequestRecord? {
        for case .record(let record) in effects { return record }
        return nil
    }
}
