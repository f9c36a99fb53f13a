import FreezeCore

/// One schedule: the machine in a world of its own, where everything takes a random time and may go wrong.
///
/// Everything follows from the seed: there is no clock, no thread, and no hashed collection is iterated.
final class Simulation {
    /// One thing that will happen.
    enum Happening {
        case daemon(RequestEvent, life: Int)
        case report(RequestEvent, freezer: Int)
        case order(SimulatedFreezer.Order, freezer: Int)
        case freezerIsReady(process: Int)
        case freezerEnds(process: Int)
        case freezerConfirms(Int)
        case freezerSeesEnd(Int)
        case freezerWakes(Int)
        case freezerIsKilled(Int)
        case freezerFallsSilent(Int)
        case freezeReturns(freezer: Int, index: Int, superblock: Int)
        case thawReturns(freezer: Int, index: Int, superblock: Int)
        case guardThaws(Int, life: Int)
        case recoveryTakesOver(life: Int)
        case recoveryEnds(life: Int)
        case isOpened(WorkID, life: Int)
        case mountsAreRead(WorkID, life: Int)
        case tasksAreRead(WorkID, [Int], life: Int)
        case hookEnds(WorkID, String, HookPhase, HookOutcome, life: Int)
        case publicationEnds(Int, life: Int)
        case sessionEnds(RequestID, Int, HookOutcome, life: Int)
        case hostActs(Int)
        case hostHangsUp(Int)
        case clientLeavesBeforeAnswer(toThaw: Int, life: Int)
        case foreignThaw(Int)
        case foreignFreeze(Int, rounds: Int)
        case foreignFreezeEnds(Int)
        case foreignMount
        case driverGivesUp(Int)
        case channelGivesUp(Int, isLate: Bool)
        case machineIsSuspended
        case daemonStops
        case daemonStarts
    }

    /// What strikes after so many events, whatever goes on then.
    enum Blow {
        case crash
        case shutdown
        case channelLost(Int)
        case freezerDies
        case suspend
        case daemonStops
    }

    /// What the guards' patience adds up to, for P1: freezer, steps, take-over, and timers that come late.
    static let slack: Int64 = 35_000_000_000

    let seed: UInt64
    var random: SplitMix64
    var scenario: Scenario
    var faults: Faults
    var now: Int64 = 1_000_000_000
    var queue: [(at: Int64, sequence: Int, happening: Happening)] = []
    private var sequence = 0
    var blows: [(countdown: Int, blow: Blow)] = []

    // The daemon
    var machine: RequestMachine
    var life = 0
    var isDaemonUp = false
    /// The machine's, since its last event.
    var deadline: Moment?
    private var timer: (deadline: Moment, due: Int64)?
    var isRecovered = false
    var areChannelsStarted = false
    /// The freezer's process, unless the machine was told of its end.
    var process: SimulatedProcess?
    var processCount = 0
    /// Whether a freezer was ready at the end of the recovery, or was heard of since.
    var hasFreezerReported = false
    var served: (id: RequestID, channel: ChannelID, options: FreezeOptions)?
    var opening: WorkID?
    var mountCheck: WorkID?
    var planned: FreezePlan?
    var runningHook: (work: WorkID, name: String, phase: HookPhase)?
    /// The session hooks that run and have said READY, by their index.
    var heldSessions: Set<Int> = []
    var orphanThaw: SimulatedGuard?
    var isLeftover = false
    var publisher = SimulatedPublisher()

    // What outlives it
    /// A filesystem outside the last plan was mounted.
    var isMoreMounted = false
    var superblocks = Array(repeating: SimulatedSuperblock(), count: SimulatedWorld.superblockCount)
    var freezers: [SimulatedFreezer] = []
    var writers: [SimulatedWriter] = []
    var ledger: SimulatedLedger?
    /// The kernel's setting.
    var isRCUExpedited = false
    var hosts: [SimulatedHost] = []
    var operations: [SimulatedOperation] = []

    // Checks
    var check = PromiseCheck()
    /// Hooks that failed at thaw, and have not done their work since.
    var failedThaws: Set<String> = []
    /// As the state directory holds it, for the next instance of the daemon.
    var keptAttention: [Attention] = []
    var keptLost: [ChannelID: String] = [:]
    var progress = ProgressCheck()
    var coverage = Coverage()
    var windowLimit: Int64 = 0
    /// How long the daemon could do nothing, suspended or stopped, all in all.
    var stoodStill: Int64 = 0
    /// SIGCONT comes then.
    var stoppedUntil: Int64 = 0
    /// How much longer FITHAWs were made to take.
    private var trouble: Int64 = 0
    var hungOnce = false
    var isHealing = false
    private(set) var violation: String?
    var trace: [String]?
    private var steps = 0

    init(seed: UInt64, isTraced: Bool = false) {
        self.seed = seed
        random = SplitMix64(seed: seed)
        scenario = Scenario(&random)
        faults = scenario.faults
        machine = RequestMachine(policy: scenario.policy)
        trace = isTraced ? [] : nil
        hosts = SimulatedHost.Role.allCases.map { SimulatedHost(role: $0, operationsLeft: scenario.operations) }
    }

    var slack: Int64 { Self.slack + trouble }
    var currentFreezer: Int? { ledger?.freezer }

    // MARK: Running

    func run() {
        if fails(.foreignFreeze, 3) { superblocks[random.below(superblocks.count)].holder = .foreign }
        if faults.contains(.foreignFreeze) { foreignAgentComes(within: 20_000) }
        if faults.contains(.foreignThaw) {
            schedule(at: now + random.milliseconds(0, 20_000), .foreignThaw(random.below(superblocks.count)))
        }
        if fails(.userHolds, 2) {
            writerBegins(on: random.below(superblocks.count), after: random.milliseconds(0, 20_000))
        }
        prepareBlows()
        startDaemon()
        for index in hosts.indices where hosts[index].role == .hyperV || random.oneIn(2) {
            schedule(at: now + random.milliseconds(0, 4000), .hostActs(index))
        }
        runUntil { false }
        guard violation == nil else { return }
        checkQuiet()
        heal()
    }

    /// With nothing hanging any more and no faults, a backup succeeds, whoever asks for it: nothing of the past is left
    /// in the way.
    private func heal() {
        blows = []
        faults = []
        writers = []
        isHealing = true
        stoppedUntil = 0
        process?.isSilent = false
        scenario.hooks = [SimulatedWorld.hook(0, .plain), SimulatedWorld.hook(1, .session)]
        for index in superblocks.indices where superblocks[index].holder == .foreign {
            superblocks[index].holder = .nobody
        }
        for index in hosts.indices { hosts[index].operationsLeft = 0 }
        let healed = Int(seed % UInt64(hosts.count))
        guard hosts[healed].isOpen else { return violate("liveness", "the channel stays closed") }
        if !hosts[healed].isRegistered { register(healed) }
        for kind in [SimulatedOperation.Kind.hotBackup, .freeze, .thaw] where violation == nil {
            // Of a rehearsal a host that takes snapshots is told failure.
            if scenario.policy.isDryRun, kind != .hotBackup, !hosts[healed].mayRehearse { break }
            let number = send(kind, from: healed)
            runUntil { self.operations[number].verdict != nil }
            if violation == nil, operations[number].verdict != .success {
                violate("liveness", "\(kind) fails though everything is well")
            }
        }
        runUntil { false }
        if violation == nil { checkQuiet() }
    }

    private func runUntil(_ isDone: () -> Bool) {
        while violation == nil, !isDone() {
            steps += 1
            if steps > 3000 { return violate("P9", "no end to it") }
            let due = timerDue
            guard let next else {
                guard let due else { return }
                passTime(to: due)
                continue
            }
            if let due, due <= queue[next].at {
                passTime(to: due)
            } else {
                let entry = queue[next]
                queue.swapAt(next, queue.count - 1)
                queue.removeLast()
                advance(to: max(now, entry.at))
                happen(entry.happening)
            }
        }
    }

    /// The place in the queue of what happens next. A plain loop: this is where the time goes.
    private var next: Int? {
        guard !queue.isEmpty else { return nil }
        var next = 0
        var index = 1
        while index < queue.count {
            let (at, sequence) = (queue[index].at, queue[index].sequence)
            if at < queue[next].at || at == queue[next].at && sequence < queue[next].sequence { next = index }
            index += 1
        }
        return next
    }

    func schedule(at moment: Int64, _ happening: Happening) {
        sequence += 1
        queue.append((max(moment, now), sequence, happening))
    }

    /// The machine sleeps: what it waits for comes so much later, unless CLOCK_BOOTTIME tells when.
    func postpone(by sleep: Int64) {
        for index in queue.indices where !queue[index].happening.followsBootTime { queue[index].at += sleep }
        if stoppedUntil > now - sleep { stoppedUntil += sleep }
        forgetTimer()
    }

    /// When the daemon's timer is noticed has changed.
    func forgetTimer() {
        timer = nil
    }

    /// When the driver will notice the machine's deadline.
    private var timerDue: Int64? {
        guard isDaemonUp, let deadline else { return nil }
        if let timer, timer.deadline == deadline { return timer.due }
        let lateness = fails(.lateTimer, 3) ? random.milliseconds(0, 3000) : 0
        var due = max(now, stoppedUntil, deadline.nanoseconds + lateness)
        // After the daemon stood still, what has come meanwhile may be read first.
        if deadline.nanoseconds < due, random.oneIn(2) { due += random.milliseconds(0, 5) }
        timer = (deadline, due)
        return due
    }

    private func passTime(to moment: Int64) {
        advance(to: moment)
        if machine.quotesMemory, let frozenButNotStuck {
            violate("P7", "memory is read while \(frozenButNotStuck) is frozen")
        }
        let isEndedByForce = ledger?.isEndedByForce ?? false
        deliver(.timePassed(DeadlineFindings(isEndedByForce: isEndedByForce)))
        if let deadline, deadline.nanoseconds <= now {
            violate("P9", "the deadline stays in the past after timePassed")
        }
    }

    private func advance(to moment: Int64) {
        now = moment
        for index in superblocks.indices {
            if case .us(let until) = superblocks[index].holder, now > until, !isHelpless {
                violate("P1", "\(SimulatedWorld.mountPoints[index]) stays frozen")
            }
        }
    }

    /// The daemon is stopped, or was a moment ago, and its freezer is gone: nobody is there who could thaw.
    private var isHelpless: Bool {
        now < stoppedUntil + slack && !(currentFreezer.map { freezers[$0].acts } ?? false)
    }

    /// FITHAW takes longer than it should: P1 waits for it.
    func prolongLimits(by delay: Int64) {
        trouble += delay
        for index in superblocks.indices {
            if case .us(let until) = superblocks[index].holder {
                superblocks[index].holder = .us(until: max(until, now + Self.slack) + delay)
            }
        }
    }

    func violate(_ promise: String, _ what: String) {
        if violation == nil { violation = "\(promise): \(what)" }
        trace?.append("\(stamp) VIOLATION \(promise): \(what)")
    }

    var stamp: String { "\(Double(now) / 1e9)s" }

    // MARK: Happenings

    private func happen(_ happening: Happening) {
        if let lifeOfIt = happening.life, lifeOfIt != life || !isDaemonUp { return }
        if now < stoppedUntil, happening.needsDaemon { return schedule(at: stoppedUntil, happening) }
        if happening.isWorthTracing { trace?.append("\(stamp)   \(happening)") }
        switch happening {
        case .daemon(let event, _): deliver(event)
        case .report(let event, let id):
            // What was read before the freezer was killed still counts, what is left in its socket may not.
            if isDaemonUp, !freezers[id].isOrphaned, id == currentFreezer, orphanThaw == nil || random.oneIn(2) {
                if event == .freezerPrepared { freezers[id].hasConfirmed = true }
                deliver(event)
            }
        case .order(let order, let id): obey(order, freezer: id)
        case .freezerIsReady(let number): freezerIsReady(number)
        case .freezerEnds(let number): freezerEnds(number)
        case .freezerConfirms(let id): freezerConfirms(id)
        case .freezerSeesEnd(let id):
            if freezers[id].acts {
                beginFreezerThaw(id, cause: nil)
                advanceFreezer(id)
            }
        case .freezerWakes(let id): advanceFreezer(id)
        case .freezerIsKilled(let id): killFreezer(id)
        case .freezerFallsSilent(let id): freezerFallsSilent(id)
        case .freezeReturns(let id, let index, let superblock):
            freezeReturns(index, superblock: superblock, freezer: id)
        case .thawReturns(let id, let index, let superblock):
            thawReturns(index, superblock: superblock, freezer: id)
        case .guardThaws(let index, _): guardThaws(index)
        case .recoveryTakesOver: recoveryTakesOver()
        case .recoveryEnds: recoveryEnds()
        case .isOpened(let work, _): isOpened(work)
        case .mountsAreRead(let work, _): mountsAreRead(work)
        case .tasksAreRead(let work, let superblocks, _): tasksAreRead(work, superblocks)
        case .hookEnds(let work, let name, let phase, let outcome, _): hookEnds(work, name, phase, outcome)
        case .sessionEnds(let id, let index, let outcome, _): sessionEnds(id, index, outcome)
        case .publicationEnds(let number, _): publicationEnds(number)
        case .hostActs(let index): hostActs(index)
        case .hostHangsUp(let index): loseChannel(index)
        case .clientLeavesBeforeAnswer(let number, _): clientLeavesBeforeAnswer(toThaw: number)
        case .foreignThaw(let index): foreignThaw(index)
        case .foreignFreeze(let index, let rounds): foreignFreeze(index, rounds: rounds)
        case .foreignFreezeEnds(let index): foreignFreezeEnds(index)
        case .foreignMount: foreignMount()
        case .driverGivesUp(let number): driverGivesUp(number)
        case .channelGivesUp(let number, _): channelGivesUp(number)
        case .machineIsSuspended: suspend()
        case .daemonStops: if isDaemonUp { stopDaemonForAWhile() }
        case .daemonStarts: startDaemon()
        }
    }

    /// Gives the machine an event, and does what it says.
    func deliver(_ event: RequestEvent) {
        guard violation == nil else { return }
        let before = machine.state
        progress.entered = nil
        noteEvent(event)
        notePublicationEvent(event)
        let ended = requestEndedByForce(event)
        let effects = machine.handle(event, at: Moment(nanoseconds: now))
        deadline = machine.nextDeadline
        coverage.note(event, in: before)
        trace?.append("\(stamp) \(event.brief) → \(machine.state)")
        for effect in effects {
            trace?.append("        \(effect.brief)")
            inspect(effect)
            perform(effect)
        }
        inspectMachine()
        inspectForce(ended)
        inspectState(before: before)
        if !isHealing { strike() }
    }

    // MARK: The daemon's lives

    private func startDaemon() {
        let clock = WallClock(moment: Moment(nanoseconds: now), wallTime: WallTime(milliseconds: 0))
        life += 1
        isDaemonUp = true
        isRecovered = false
        areChannelsStarted = false
        hasFreezerReported = false
        stoppedUntil = 0
        machine = RequestMachine(policy: scenario.policy, lost: keptLost)
        timer = nil
        deadline = nil
        for effect in machine.start(at: clock) { perform(effect) }
        deliver(.attentionRecalled(keptAttention))
        readPast()
    }

    /// It ends, whatever it was at; everything that waits for it finds it gone.
    func stopDaemon(restartsIn delay: Int64) {
        isDaemonUp = false
        mountCheck = nil
        orphanThaw = nil
        opening = nil
        process = nil
        runningHook = nil
        publisher = SimulatedPublisher()
        // They end with their standard input.
        heldSessions = []
        // What the host was told is remembered with the ledger.
        let hasSucceeded = check.thawSucceeded && ledger != nil
        let worked = check.hooksWorked
        check = PromiseCheck()
        check.hooksWorked = worked
        check.thawSucceeded = hasSucceeded
        progress = ProgressCheck()
        for index in hosts.indices {
            let isOpen = machine.isWindowOpen && machine.owner == hosts[index].channel && ledger != nil
            let isLost = machine.lostChannels[hosts[index].channel] != nil
            hosts[index].daemonEnded(inWindow: isLost || isOpen && ledger?.outcome == nil)
        }
        for index in operations.indices { operations[index].isLost = true }
        for index in superblocks.indices {
            if case .us(let until) = superblocks[index].holder {
                superblocks[index].holder = .us(until: max(until, now + delay + slack))
            }
        }
        windowLimit = max(windowLimit, now + delay)
        if let id = currentFreezer, freezers[id].isAlive {
            freezers[id].isOrphaned = true
            schedule(at: max(freezers[id].lastOrder, now + random.milliseconds(0, 3)), .freezerSeesEnd(id))
        }
        schedule(at: now + delay, .daemonStarts)
    }
}
