import FreezeCore
import SystemPackage

/// What the promises need to know of the request that is being served.
struct PromiseCheck {
    /// Hooks that were started for freeze and not called for thaw; optional if they could not be started after all.
    var owedHooks: [(name: String, isOptional: Bool)] = []
    /// How often a hook could not be started for thaw, and when the first one was called.
    var failedThawStarts: [String: Int] = [:]
    var thawHooksBegan: Int64?
    var freezeHooksStarted: [String] = []
    var hooksSucceeded: [String] = []
    /// As told to the machine, in the plan's order.
    var frozen: [Bool] = []
    var lastLevel = -1
    /// The mount table was read, as planned, after the last flush and before anything was frozen.
    var mountsAreAsPlanned = false
    var thawSucceeded = false
    var isThawOverdue = false
}

extension Simulation {
    var freezeHooksStarted: [String] { check.freezeHooksStarted }

    // MARK: Events

    func noteEvent(_ event: RequestEvent) {
        switch event {
        case .recovered(let leftover?):
            check.failedThawStarts = [:]
            check.thawHooksBegan = nil
            check.owedHooks = leftover.hooksOwedThaw.reversed().map { ($0.name, false) }
            coverage.note(leftover.stuck.isEmpty ? .recovered : .recoveredStuck)
        case .prepared(_, let prepared):
            check.frozen = Array(repeating: false, count: prepared.plan.filesystems(.freeze).count)
            check.lastLevel = -1
        case .froze(let index, let result):
            if result.error == nil, check.frozen.indices.contains(index) { check.frozen[index] = true }
            if result.error == .resourceBusy { coverage.note(.frozenByForeigner) }
        case .thawed(_, let result):
            if result.error == .invalidArgument { coverage.note(.thawedByForeigner) }
        case .mountsChecked(_, let change, let allFrozen):
            check.mountsAreAsPlanned = change == nil && (machine.state == .checking || allFrozen)
        case .hookFinished(_, let run): noteHook(run)
        default: break
        }
    }

    private func noteHook(_ run: HookRun) {
        if run.phase == .thaw { return noteThawHook(run) }
        if run.outcome.succeeded { check.hooksSucceeded.append(run.name) }
        guard case .notStarted = run.outcome else { return }
        for index in check.owedHooks.indices where check.owedHooks[index].name == run.name {
            check.owedHooks[index].isOptional = true
        }
    }

    /// What never ran is still owed its call, as often as the policy says and its budget allows.
    private func noteThawHook(_ run: HookRun) {
        guard case .notStarted = run.outcome else { return }
        let failed = check.failedThawStarts[run.name, default: 0] + 1
        check.failedThawStarts[run.name] = failed
        let policy = scenario.policy
        let end = (check.thawHooksBegan ?? now) + policy.hooksTotalTimeout.nanoseconds
        let isOptional =
            failed >= policy.thawHookAttempts || now + policy.thawHookRetryPause.nanoseconds >= end
        check.owedHooks.append((run.name, isOptional))
    }

    // MARK: Effects

    func inspect(_ effect: RequestEffect) {
        switch effect {
        case .prepare(_, _, _, let isAgain):
            inspectQuiet(effect)
            if isAgain { coverage.note(.replanned) } else { check = PromiseCheck() }
        case .flush:
            inspectQuiet(effect)
            check.mountsAreAsPlanned = false
        case .runHook(_, let index, let phase, let succeeded, _, _):
            inspectQuiet(effect)
            inspectHook(index, phase, succeeded: succeeded)
        case .runLeftoverHook(_, let name, _, _, _):
            inspectQuiet(effect)
            inspectThawHook(name)
        case .assess, .openChannels, .reopenChannels, .release: inspectQuiet(effect)
        case .record(let record):
            inspectQuiet(effect)
            inspect(record)
        case .freeze(let level, _, _): inspectFreeze(level)
        case .takeOverThaw: coverage.note(.tookOver)
        case .answer(let channel, let operation, let verdict, _): inspectAnswer(channel, operation, verdict)
        case .exit: inspectAnswered()
        case .recover, .checkMounts, .cancelHook, .thaw, .note, .progress: break
        }
    }

    /// P7. What hangs in the kernel is no reason to wait.
    private func inspectQuiet(_ effect: RequestEffect) {
        if let frozen = frozenButNotStuck { violate("P7", "\(effect) while \(frozen) is frozen") }
    }

    private var frozenButNotStuck: String? {
        guard superblocks.contains(where: \.isFrozenByUs) else { return nil }
        let stuck = machine.stuckMountPoints
        for (index, superblock) in superblocks.enumerated() where superblock.isFrozenByUs {
            let mountPoint = SimulatedWorld.mountPoints[index]
            if !stuck.contains(mountPoint) { return mountPoint.string }
        }
        return nil
    }

    private func inspectHook(_ index: Int, _ phase: HookPhase, succeeded: Bool) {
        guard let hooks = ledger?.hooks, hooks.indices.contains(index) else {
            return violate("P4", "there is no hook \(index)")
        }
        guard phase == .freeze else {
            if succeeded != check.thawSucceeded {
                violate("P4", "a thaw hook is told \(succeeded), the host is not")
            }
            return inspectThawHook(hooks[index].name)
        }
        if hooks[index].refusal != nil { violate("P4", "a refused hook is run") }
        if let last = check.freezeHooksStarted.last, last >= hooks[index].name {
            violate("P4", "hook \(hooks[index].name) is run for freeze after \(last)")
        }
        check.freezeHooksStarted.append(hooks[index].name)
        check.owedHooks.append((hooks[index].name, false))
    }

    private func inspectThawHook(_ name: String) {
        if check.thawHooksBegan == nil { check.thawHooksBegan = now }
        if check.failedThawStarts[name] != nil { coverage.note(.thawHookRetried) }
        while let owed = check.owedHooks.popLast() {
            if owed.name == name { return }
            if !owed.isOptional { return violate("P4", "\(name) is called for thaw before \(owed.name)") }
        }
        violate("P4", "\(name) is called for thaw without being owed it")
    }

    private func inspect(_ record: RequestRecord) {
        for owed in check.owedHooks where !owed.isOptional { violate("P4", "\(owed.name) is not called for thaw") }
        check.owedHooks = []
        coverage.lastRecord = now
        if (record.result == .succeeded) != check.thawSucceeded {
            violate("P3", "the record says \(record.result), the host was told otherwise")
        }
    }

    private func inspectFreeze(_ level: Int) {
        guard let levels = currentFreezer.map({ freezers[$0].levels }) else {
            return violate("P6", "frozen without a plan")
        }
        if !check.mountsAreAsPlanned { violate("P2", "frozen without another look at the mount table") }
        if level <= check.lastLevel { violate("P6", "level \(level) follows level \(check.lastLevel)") }
        check.lastLevel = level
        for (index, other) in levels.enumerated() where other < level && !check.frozen[index] {
            violate("P6", "level \(level) is frozen before \(index) of level \(other)")
        }
        if levels.contains(where: { $0 < level }) { coverage.note(.secondLevel) }
    }

    // MARK: Answers

    private func inspectAnswer(_ channel: ChannelID, _ id: OperationID, _ verdict: OperationAnswer) {
        let number = Int(id.number)
        guard operations.indices.contains(number) else { return violate("answers", "there is no \(id)") }
        let operation = operations[number]
        if operation.isLost { violate("answers", "\(id) is answered after its channel was lost") }
        if operation.verdict != nil { violate("answers", "\(id) is answered twice") }
        if SimulatedWorld.channels[operation.host] != channel { violate("answers", "\(id) on another channel") }
        operations[number].verdict = verdict
        let waited = now - operation.received
        let lateness: Int64 = faults.contains(.lateTimer) ? 3_000_000_000 : 0
        let policy = scenario.policy
        let limit = operation.kind == .freeze ? policy.freezeAnswerLimit : policy.thawAnswerLimit
        if waited > limit.nanoseconds + lateness {
            violate("answers", "\(id) waited \(waited / 1_000_000) ms")
        }
        switch (operation.kind, verdict) {
        case (.freeze, .success): inspectFrozen(operation)
        case (.freeze, .failure): inspectRefused(operation, waited)
        case (.thaw, .success): inspectThawed(operation)
        case (.thaw, .failure): coverage.note(.thawFailed)
        case (.hotBackup, _): coverage.note(operation.mayWait ? .startedAnew : .hotBackup)
        }
        if verdict == .failure, waited > 0, waited < policy.thawAnswerLimit.nanoseconds,
            let frozen = frozenButNotStuck
        {
            violate("P1", "\(id) is answered with failure while \(frozen) is still frozen")
        }
    }

    private func inspectRefused(_ operation: SimulatedOperation, _ waited: Int64) {
        coverage.note(waited == 0 ? .refused : .freezeFailed)
        if faults.isEmpty, waited > 0, ledger?.superblocks.isEmpty == false {
            violate("liveness", "FREEZE fails though everything is well")
        }
    }

    private func inspectFrozen(_ operation: SimulatedOperation) {
        coverage.note(.frozen)
        if operation.received < coverage.lastRecord { coverage.note(.servedAfterWaiting) }
        if isTampered { violate("P2", "FREEZE is answered with success, but not all is frozen by us") }
        if !check.mountsAreAsPlanned { violate("P2", "FREEZE is answered with success after the mounts changed") }
        guard scenario.policy.onHookFailure == .abort else { return }
        for hook in scenario.hooks where !check.hooksSucceeded.contains(hook.name) {
            violate("P2", "FREEZE is answered with success though hook \(hook.name) did not succeed")
        }
    }

    private func inspectThawed(_ operation: SimulatedOperation) {
        if operation.endsWindow {
            check.thawSucceeded = true
            coverage.note(.thawed)
            if superblocks.contains(where: \.isFrozenByUs) {
                violate("P3", "THAW succeeds while something is frozen")
            }
        } else {
            coverage.note(.harmlessThaw)
            if hosts[operation.host].lastFreeze != .failed {
                violate("P3", "THAW succeeds, but no FREEZE was frozen, or answered with failure")
            }
        }
    }

    // MARK: At any moment

    func inspectMachine() {
        if machine.requestID != nil, machine.nextDeadline == nil {
            violate("P9", "\(machine.state.rawValue) without a deadline")
        }
        if machine.isStuck { coverage.note(.stuck) }
        if !machine.lostChannels.isEmpty { coverage.note(.lost) }
    }

    /// Everything that could happen has happened.
    func checkQuiet() {
        if machine.state != .idle {
            violate("liveness", "\(machine.state.rawValue) when nothing is left to happen")
        }
        if machine.isStuck { violate("liveness", "stuck on \(machine.stuckMountPoints) when nothing hangs") }
        if superblocks.contains(where: \.isFrozenByUs) { violate("P1", "something is frozen at the end") }
        for (index, host) in hosts.enumerated() where host.isThawAnswered {
            if machine.lostChannels[SimulatedWorld.channels[index]] != nil {
                violate("LOST", "the THAW that is waited for was answered already")
            }
        }
        if ledger != nil { violate("liveness", "nothing was released") }
        inspectAnswered()
    }

    private func inspectAnswered() {
        for (number, operation) in operations.enumerated() where !operation.isLost && operation.verdict == nil {
            violate("answers", "\(operation.kind) \(number) is never answered")
        }
    }
}
