import FreezeCore
import SystemPackage

/// The driver around the machine: does what the effects say, after a random time, wrongly, or never.
extension Simulation {
    func perform(_ effect: RequestEffect) {
        switch effect {
        case .recover: recover()
        case .startFreezer: startFreezer()
        case .pauseBeforeFreezer: pauseBeforeFreezer()
        case .killFreezer:
            process?.isKilled = true
            freezerDies()
        case .openChannels:
            areChannelsStarted = true
            openHosts()
        case .reopenChannels: if areChannelsStarted { openHosts() }
        case .assess, .note, .progress: break
        case .open(let work, let id, let channel, let options):
            served = (id, channel, options)
            open(work)
        case .openAgain(let work): open(work)
        case .handOver(let work): handOver(work)
        case .withdraw: process?.request = nil
        case .flush(let work, let filesystems): flush(work, filesystems)
        case .readMemory: break
        case .findWriteHolders(let work, let targets): findWriteHolders(work, targets)
        case .checkMounts(let work), .pollMounts(let work), .verify(let work):
            mountCheck = work
            let delay = fails(.workHangs, 4) ? random.milliseconds(2000, 12_000) : random.milliseconds(0, 20)
            schedule(at: now + delay, .mountsAreRead(work, life: life))
        case .runHook(let work, let index, let phase, _, _, let timeout):
            runHook(work, index, phase, timeout)
        case .startSession(let work, let index, let timeout): startSession(work, index, timeout)
        case .releaseSessions(let timeout): releaseSessions(timeout)
        case .runLeftoverHook(let work, let name, _, _, _, let timeout):
            runLeftoverHook(work, name, timeout)
        case .cancelHook: cancelHook()
        case .expediteRCU(let isExpedited):
            isRCUExpedited = isExpedited
            ledger?.expeditesRCU = isExpedited
        case .freeze(let step, let freezeDeadline, let windowDeadline):
            if windowLimit < windowDeadline.nanoseconds { windowLimit = windowDeadline.nanoseconds }
            if fails(.foreignMount, 2) { schedule(at: now + random.milliseconds(0, 4000), .foreignMount) }
            if fails(.userHolds, 2) {
                writerBegins(on: random.below(superblocks.count), after: random.milliseconds(0, 2))
            }
            if fails(.foreignThaw, 4) {
                let victim = random.below(superblocks.count)
                schedule(at: now + random.milliseconds(0, 40), .foreignThaw(victim))
            }
            order(.freeze(step: step, freezeDeadline: freezeDeadline, windowDeadline: windowDeadline))
        case .thaw:
            order(.thaw)
            if let process, !process.isAlive, !process.isKilled {
                schedule(at: now, .daemon(.freezerHangs, life: life))
            }
        case .takeOverThaw: takeOver(isRecovering: false)
        case .answer(_, let operation, let verdict, _): answered(operation, verdict)
        case .keepOutcome(let outcome): ledger?.outcome = outcome
        case .keepAttention(let attention):
            keptAttention = attention
            publisher.facts += 1
        case .keepLost(let lost): keptLost = lost
        case .record: writeRecord()
        case .publish(let isLast): publish(isLast: isLast)
        case .cancelPublication: cancelPublication()
        case .pauseBeforePublication: schedule(at: now + 60_000_000_000, .daemon(.publicationDue, life: life))
        case .release: release()
        case .exit: stopDaemon(restartsIn: random.milliseconds(10, 5000))
        }
    }

    private func openHosts() {
        for index in hosts.indices { hosts[index].isOpen = true }
    }

    /// Before the owner's THAW the driver looks for writes in the window, and for newly writable filesystems.
    func windowFindings(before channel: ChannelID, _ wish: ThawWish) -> WindowFindings {
        let isEnd = machine.state == .frozen && machine.owner == channel
        if machine.endsWindow(channel, wish) != isEnd { violate("P3", "the driver is not told to look back") }
        guard isEnd else { return .none }
        let written = ledger?.superblocks.first { superblocks[$0].isWritten }
        if isMoreMounted { check.isMoreWritable = true }
        if written != nil {
            check.isTorn = true
            coverage.note(.writtenInWindow)
        }
        return WindowFindings(
            written: written.map { SimulatedWorld.mountPoints[$0] },
            becameWritable: isMoreMounted ? "another mount" : nil)
    }

    // MARK: Preparing

    private func open(_ work: WorkID) {
        if fails(.foreignFreeze, 3) { foreignAgentComes(within: 10_000) }
        opening = work
        let delay = fails(.workHangs, 8) ? hangs(8, 30) : random.milliseconds(0, 200)
        if fails(.workFails, 10) {
            let failed = RequestEvent.openingFailed(work, reason: "cannot be opened", plan: nil)
            return schedule(at: now + delay, .daemon(failed, life: life))
        }
        schedule(at: now + delay, .isOpened(work, life: life))
    }

    func isOpened(_ work: WorkID) {
        guard opening == work else { return }
        let plan = isHealing ? SimulatedWorld.healthyPlan : SimulatedWorld.plan(&random)
        planned = plan
        isMoreMounted = false
        // A directory read a second time may hold other hooks than those that have run.
        let others = random.oneIn(2) ? [] : scenario.hooks.reversed()
        let hooks = freezeHooksStarted.isEmpty || random.oneIn(2) ? scenario.hooks : others
        deliver(.opened(work, PlannedRequest(plan: plan, hooks: hooks)))
    }

    private func handOver(_ work: WorkID) {
        guard let plan = planned, let served else { return violate("P1", "nothing is open to be handed over") }
        guard let process, process.isReady else { return violate("P1", "handed over, and no freezer is ready") }
        check.isHandedOver = true
        if process.request != nil { violate("P1", "handed over to a freezer that holds another plan") }
        if fails(.workFails, 12) {
            let failed = RequestEvent.handOverFailed(work, reason: "no descriptor")
            return schedule(at: now, .daemon(failed, life: life))
        }
        if ledger?.id == served.id, ledger?.freezer != nil, !check.isWithdrawn {
            coverage.note(.handedToSuccessor)
        }
        check.isWithdrawn = false
        let targets = served.options.freezes ? plan.filesystems(.freeze) : []
        readyFreezer(targets, served, process)
    }

    private func readyFreezer(
        _ targets: [PlannedFilesystem], _ request: (id: RequestID, channel: ChannelID, options: FreezeOptions),
        _ process: SimulatedProcess
    ) {
        var freezer = SimulatedFreezer(process: process.number, steps: targets.compactMap(\.step))
        // That it is dead may not have been noticed: then it is sent nothing.
        (freezer.isAlive, freezer.isSilent) = (process.isAlive, process.isSilent)
        freezers.append(freezer)
        self.process?.request = freezers.count - 1
        ledger = SimulatedLedger(
            id: request.id, channel: request.channel, options: request.options, freezer: freezers.count - 1,
            superblocks: targets.map(SimulatedWorld.index),
            words: Array(repeating: .planned, count: targets.count), hooks: ledger?.hooks ?? scenario.hooks,
            owedHooks: ledger?.owedHooks ?? [])
        windowLimit = 0
        let isSlow = faults.contains(.freezerDies) && random.oneIn(3)
        schedule(
            at: now + random.milliseconds(0, isSlow ? 2000 : 5), .freezerConfirms(freezers.count - 1))
        if fails(.freezerDies, 2) {
            schedule(at: now + fate(), .freezerIsKilled(freezers.count - 1))
        }
        if fails(.freezerSilent, 2) {
            schedule(at: now + fate(), .freezerFallsSilent(freezers.count - 1))
        }
    }

    /// When something befalls a request that has just been prepared.
    private func fate() -> Int64 {
        switch random.below(4) {
        case 0: random.milliseconds(0, 300)
        case 1: random.milliseconds(0, 3000)
        default: random.milliseconds(0, 70_000)
        }
    }

    private func release() {
        giveUpOnRunningHook()
        heldSessions = []
        opening = nil
        process?.request = nil
        isLeftover = false
        orphanThaw = nil
        if let ledger, ledger.words.contains(where: { !$0.isSettled }) {
            violate("P1", "the ledger is removed while something is unsettled in it: \(ledger.words)")
        }
        if let ledger, !ledger.owedHooks.isEmpty { violate("P4", "the ledger is removed, with hooks owed a thaw") }
        ledger = nil
    }

    // MARK: Flushing and checking

    private func flush(_ work: WorkID, _ filesystems: [PlannedFilesystem]) {
        if fails(.userHolds, 3) { writerBegins(on: random.below(superblocks.count), after: 0) }
        for filesystem in filesystems {
            let chances = scenario.policy.flushTimeout > .seconds(60) ? 2 : 12
            let delay = fails(.workHangs, chances) ? hangs(30, 310) : random.milliseconds(0, 2000)
            let error: Errno? = fails(.workFails, 15) ? .ioError : nil
            let moment = Moment(nanoseconds: now)
            let result = TimedResult(error: error, started: moment, ended: moment)
            schedule(at: now + delay, .daemon(.flushed(work, filesystem.device, result), life: life))
        }
    }

    func mountsAreRead(_ work: WorkID) {
        let change = isMoreMounted || fails(.mountsChange, 2) ? "another mount" : nil
        let isFrozen = ledger?.words.allSatisfy { $0 == .frozen } ?? false
        // The ledger is believed, also when it contradicts the reports.
        let allFrozen = isFrozen && !fails(.workFails, 6)
        // A daemon that stands still hears of it late.
        let delay = fails(.lateTimer, 2) ? random.milliseconds(0, 3000) : random.milliseconds(0, 2)
        schedule(
            at: now + delay,
            .daemon(.mountsChecked(work, change: change, allFrozen: allFrozen), life: life))
    }

    // MARK: Hooks

    private func runHook(_ work: WorkID, _ index: Int, _ phase: HookPhase, _ timeout: Duration) {
        guard let hook = ledger?.hooks[index] else { return violate("P4", "hook \(index) of no request") }
        if phase == .freeze { ledger?.owedHooks.append(hook) }
        start(hook.name, phase, .exited(status: 0), work, timeout)
    }

    private func startSession(_ work: WorkID, _ index: Int, _ timeout: Duration) {
        guard let hook = ledger?.hooks[index] else { return violate("P4", "hook \(index) of no request") }
        start(hook.name, .freeze, .ready, work, timeout)
    }

    /// Each ends by itself, at once or slowly, badly or not in time.
    private func releaseSessions(_ timeout: Duration) {
        guard let ledger else { return violate("P4", "sessions of no request") }
        for index in heldSessions.sorted() {
            var outcome = HookOutcome.exited(status: 0)
            var delay = random.milliseconds(0, 1500)
            if fails(.sessionsEnd, 4) {
                outcome = random.oneIn(2) ? .exited(status: 1) : .signalled(signal: 9)
            } else if fails(.hooksHang, 4) {
                outcome = .timedOut(abandoned: random.oneIn(2))
                delay = timeout.nanoseconds + random.milliseconds(0, 30_000)
            }
            schedule(at: now + delay, .sessionEnds(ledger.id, index, outcome, life: life))
        }
    }

    private func runLeftoverHook(_ work: WorkID, _ name: String, _ timeout: Duration) {
        start(name, .thaw, .exited(status: 0), work, timeout)
    }

    private func start(
        _ name: String, _ phase: HookPhase, _ success: HookOutcome, _ work: WorkID, _ timeout: Duration
    ) {
        giveUpOnRunningHook()
        runningHook = (work, name, phase)
        var outcome = success
        var delay = random.milliseconds(0, 3000)
        if fails(.hooksFail, 3) {
            let outcomes: [HookOutcome] = [
                .exited(status: 1), .signalled(signal: 9), .notStarted(reason: "exec format error"),
            ]
            outcome = outcomes[random.below(3)]
        } else if fails(.hooksHang, 3) {
            outcome = .timedOut(abandoned: random.oneIn(2))
            // Killed in time, about the end of the grace, or long after it: never, for the machine.
            let late: Int64 =
                random.oneIn(2) ? random.milliseconds(0, 10_100) : random.milliseconds(10_000, 60_000)
            delay = timeout.nanoseconds + late
        } else if phase == .freeze, random.oneIn(4) {
            outcome = .skipped(reason: "")
        }
        schedule(at: now + delay, .hookEnds(work, name, phase, outcome, life: life))
    }

    /// The machine waits no longer for it. A hook that was called for thaw is owed nothing more.
    private func giveUpOnRunningHook() {
        if let hook = runningHook, hook.phase == .thaw { ledger?.owedHooks.removeAll { $0.name == hook.name } }
        runningHook = nil
    }

    private func cancelHook() {
        guard let runningHook else { return violate("P9", "no hook runs that could be ended") }
        // It does not end at once, or not at all.
        if fails(.hooksHang, 3) { return }
        let delay = random.milliseconds(0, 2000)
        let outcome: HookOutcome =
            fails(.hooksFail, 4) ? .notStarted(reason: "cancelled") : .signalled(signal: 15)
        schedule(
            at: now + delay,
            .hookEnds(runningHook.work, runningHook.name, runningHook.phase, outcome, life: life))
    }

    func hookEnds(_ work: WorkID, _ name: String, _ phase: HookPhase, _ outcome: HookOutcome) {
        guard let hook = runningHook, hook.work == work else { return }
        runningHook = nil
        if phase == .thaw {
            ledger?.owedHooks.removeAll { $0.name == name }
        } else if case .notStarted = outcome {
            ledger?.owedHooks.removeAll { $0.name == name }
        }
        // One that became ready too late is let go of.
        if outcome == .ready, machine.isAwaited(work) { hold(name) }
        deliver(.hookFinished(work, run(name, phase, outcome)))
    }

    private func run(_ name: String, _ phase: HookPhase, _ outcome: HookOutcome) -> HookRun {
        HookRun(
            name: name, phase: phase, outcome: outcome, output: "", isOutputTruncated: false,
            started: Moment(nanoseconds: now), duration: .zero)
    }

    private func hold(_ name: String) {
        guard let ledger, let index = ledger.hooks.firstIndex(where: { $0.name == name }) else { return }
        heldSessions.insert(index)
        guard fails(.sessionsEnd, 3) else { return }
        // Among the hooks after it, about the window, or in it.
        let outcome: HookOutcome = random.oneIn(2) ? .exited(status: 0) : .signalled(signal: 9)
        let delay = random.oneIn(2) ? random.milliseconds(0, 8000) : random.milliseconds(0, 40_000)
        schedule(at: now + delay, .sessionEnds(ledger.id, index, outcome, life: life))
    }

    func sessionEnds(_ id: RequestID, _ index: Int, _ outcome: HookOutcome) {
        guard ledger?.id == id, heldSessions.remove(index) != nil, let name = ledger?.hooks[index].name else {
            return
        }
        deliver(.sessionEnded(index: index, run(name, .thaw, outcome)))
    }

    // MARK: Chance

    func fails(_ fault: Faults, _ chances: Int) -> Bool {
        faults.contains(fault) && random.oneIn(chances)
    }

    func hangs(_ least: Int, _ most: Int) -> Int64 {
        hungOnce = true
        return random.milliseconds(least * 1000, most * 1000)
    }

    func result(_ error: Errno?) -> TimedResult {
        TimedResult(error: error, started: Moment(nanoseconds: now), ended: Moment(nanoseconds: now))
    }
}
