import SystemPackage

@testable import FreezeCore

/// The freezer's process in the present instance of the daemon. Each request has a `SimulatedFreezer`.
struct SimulatedProcess {
    let number: Int
    /// `freezerReady` was sent.
    var isReady = false
    var isAlive = true
    /// Stopped, in whatever request.
    var isSilent = false
    /// Killed by the machine, or reported as hanging.
    var isKilled = false
    /// `quiescectl recover --force` kills it.
    var isEndedByForce = false
    /// The request that was handed over and not withdrawn.
    var request: Int?
}

extension Simulation {
    // MARK: Life

    func pauseBeforeFreezer() {
        let pause = random.oneIn(2) ? random.milliseconds(0, 100) : random.milliseconds(50, 2000)
        schedule(at: now + pause, .daemon(.freezerDue, life: life))
    }

    private var isFreezerPaused: Bool {
        queue.contains { if case .daemon(.freezerDue, life) = $0.happening { true } else { false } }
    }

    /// A request without a freeze has its plan, and does not wait for a freezer.
    private var isHoldNear: Bool {
        let states: [RequestState] = [.flushing, .freezeHooks, .sessionHooks]
        return served?.options.freezes == false && states.contains(machine.state)
    }

    func startFreezer() {
        processCount += 1
        process = SimulatedProcess(number: processCount)
        let isSlow = fails(.freezerDies, 6) || fails(.freezerSilent, 6)
        let delay = isSlow ? random.milliseconds(5000, 15_000) : faults.isEmpty ? 0 : random.milliseconds(0, 100)
        if fails(.freezerDies, 4) {
            schedule(at: now + random.milliseconds(0, 100), .freezerEnds(process: processCount))
        } else {
            schedule(at: now + delay, .freezerIsReady(process: processCount))
        }
    }

    func freezerIsReady(_ number: Int) {
        guard isDaemonUp, let process, process.number == number, process.isAlive else { return }
        self.process?.isReady = true
        hasFreezerReported = true
        deliver(.freezerReady)
    }

    /// Kills the process. Its ioctls in flight still complete.
    func killFreezer(_ id: Int) {
        freezers[id].isAlive = false
        if process?.number == freezers[id].process { freezerDies() }
    }

    func freezerDies() {
        guard let process, process.isAlive else { return }
        self.process?.isAlive = false
        if let request = process.request { freezers[request].isAlive = false }
        schedule(at: now + random.milliseconds(0, 20), .freezerEnds(process: process.number))
    }

    /// The process has ended: in the window not before the ioctls in flight have returned.
    func freezerEnds(_ number: Int) {
        guard isDaemonUp, let process, process.number == number else { return }
        if machine.isWindowOpen,
            superblocks.contains(where: { $0.inFlight.map { freezers[$0].process == number } ?? false })
        {
            return schedule(at: now + 2_000_000_000, .freezerEnds(process: number))
        }
        if !process.isReady { coverage.note(.freezerNeverReady) }
        self.process = nil
        check.isHandedOver = false
        hasFreezerReported = true
        let request = machine.state == .planning ? machine.requestID : nil
        deliver(.freezerEnded(how: "signal 9", isByForce: process.isEndedByForce))
        if !process.isReady, isDaemonUp, let request, machine.requestID == request, machine.state == .planning {
            violate("P9", "a request waits for a freezer that cannot be started")
        }
    }

    func freezerFallsSilent(_ id: Int) {
        guard !freezers[id].isThawFinished else { return }
        freezers[id].isSilent = true
        if process?.number == freezers[id].process { process?.isSilent = true }
    }

    func noteRecovery() {
        isRecovered = true
        hasFreezerReported = process?.isReady ?? false
    }

    // MARK: Handed over

    func freezerConfirms(_ id: Int) {
        guard freezers[id].acts else { return }
        let isRefused = fails(.workFails, 12)
        if isRefused { coverage.note(.freezerRefused) }
        report(isRefused ? .freezerRefused(.noMemory) : .freezerPrepared, from: id)
    }

    // MARK: Checks

    func inspectFreezerEffect(_ effect: RequestEffect) {
        // The daemon starts before the recovery has ended.
        if machine.state != .recovering { inspectQuiet(effect) }
        switch effect {
        case .startFreezer:
            if process != nil { violate("P9", "a freezer is started beside another") }
            if machine.isWindowOpen { violate("P7", "a freezer is started in \(machine.state)") }
            if isHoldNear { violate("P7", "a freezer that loads when hooks may hold") }
        case .killFreezer:
            coverage.note(.freezerReplaced)
            let request = process?.request.map { freezers[$0] }
            if request?.hasConfirmed ?? !check.isHandedOver {
                violate("P9", "a freezer is killed that owes no answer")
            }
        case .openChannels:
            if !isRecovered || !hasFreezerReported || areChannelsStarted {
                violate("channels", "they are opened before the recovery is over and a freezer was heard of")
            }
        default: break
        }
    }

    /// The request that was ended by force, unless the request had failed, or was thawed, before.
    func requestEndedByForce(_ event: RequestEvent) -> RequestID? {
        switch event {
        case .freezerEnded(_, isByForce: true): break
        case .timePassed(let findings) where findings.isEndedByForce: break
        default: return nil
        }
        return machine.request?.failure == nil && machine.state != .releasing ? machine.requestID : nil
    }

    /// The record has the force as the reason, and not the end of the freezer.
    func inspectForce(_ ended: RequestID?) {
        guard let ended, let request = machine.request, request.id == ended, let failure = request.failure else {
            return
        }
        if failure != RequestMachine.recoveredByForce {
            violate("force", "the request that was ended by force fails: \(failure)")
        }
    }

    /// Until the freezer has the descriptors, the daemon is the only guard.
    func inspectConfirmation(before what: String) {
        let request = process?.request.map { freezers[$0] }
        if request?.hasConfirmed != true {
            violate("P1", "\(what) before the freezer has confirmed its descriptors")
        }
    }

    func inspectPreparation(_ machine: RequestMachine) {
        guard isDaemonUp else { return }
        if process == nil, !isFreezerPaused, !isHoldNear, !machine.isWindowOpen, machine.state != .stopped {
            violate("P9", "no freezer is started in \(machine.state.rawValue)")
        }
        if isRecovered, hasFreezerReported, !areChannelsStarted, machine.shutdownReason == nil {
            violate("channels", "they stay closed")
        }
        guard machine.state == .planning, let began = check.planningBegan else { return }
        if let deadline, deadline.nanoseconds > began + scenario.policy.planTimeout.nanoseconds {
            violate("P9", "planning may take longer than its limit")
        }
        guard check.isOpened, !scenario.policy.isDryRun else { return }
        let isThere = process.map { $0.isReady && !$0.isKilled } ?? false
        if !isThere { coverage.note(.freezerAwaited) }
        if isThere, !check.isHandedOver { violate("P9", "a freezer is ready, and not given the request") }
    }
}
