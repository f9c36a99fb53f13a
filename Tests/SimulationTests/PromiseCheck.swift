import SystemPackage

@testable import FreezeCore

/// What the promises need to know of the request that is being served.
struct PromiseCheck {
    /// Hooks that were started for freeze and not called for thaw; optional if they could not be started after all.
    var owedHooks: [(name: String, isOptional: Bool)] = []
    /// Part of the plan is not frozen, or is written through a freeze, and may be written to in the window.
    var isCrashConsistent = false
    /// How often a hook could not be started for thaw, and when the first one was called.
    var failedThawStarts: [String: Int] = [:]
    var thawHooksBegan: Int64?
    var freezeHooksStarted: [String] = []
    var hooksSucceeded: [String] = []
    /// Hooks that did their work before the freeze.
    var hooksWorked: Set<String> = []
    /// The request is one of a previous instance.
    var isLeftover = false
    /// A hook that has just been thawed well, after its work.
    var attentionEnds: String?
    var areSessionsReleased = false
    /// A session hook that the window relied on has ended too early, or badly.
    var isSessionLost = false
    /// As told to the machine, in the plan's order.
    var frozen: [Bool] = []
    var lastStep = -1
    /// The mount table was read, as planned, after the last flush and before anything was frozen.
    var mountsAreAsPlanned = false
    var thawSucceeded = false
    /// Since the last flush began.
    var hasSearched = false
    /// Writers found asleep during a flush.
    var seenWriters: Set<Int> = []
    var hasSearchedForStuck = false
    /// The start of a search without an answer yet.
    var stuckSearch: Int64?
    /// Stuck filesystems with a found holder.
    var namedHolders: Set<FilePath> = []
    /// A FITHAW of ours found a filesystem of this request thawed by somebody else.
    var isTorn = false
    /// A filesystem outside the plan was writable at the host's THAW.
    var isMoreWritable = false
    /// A plan is made and open.
    var isOpened = false
    /// A freezer that has not ended was to be handed the plan.
    var isHandedOver = false
    /// The freezer was told to let go of the last plan.
    var isWithdrawn = false
    /// When the plan in progress was begun.
    var planningBegan: Int64?
    var lateFreezes = LateFreezeCheck()
    /// After the event before.
    var wasWindowOpen = false
}

extension Simulation {
    var freezeHooksStarted: [String] { check.freezeHooksStarted }

    // MARK: Events

    func noteEvent(_ event: RequestEvent) {
        switch event {
        case .recovered(nil): noteRecovery()
        case .recovered(let leftover?):
            noteRecovery()
            check.failedThawStarts = [:]
            check.thawHooksBegan = nil
            check.isLeftover = true
            check.owedHooks = leftover.hooksOwedThaw.reversed().map { ($0.name, false) }
            coverage.note(leftover.stuck.isEmpty ? .recovered : .recoveredStuck)
        case .opened(let work, let planned) where machine.isAwaited(work):
            check.isOpened = true
            let count = served?.options.freezes == true ? planned.plan.filesystems(.freeze).count : 0
            check.frozen = Array(repeating: false, count: count)
            check.lastStep = -1
            check.isCrashConsistent =
                planned.plan.filesystems.contains { $0.action == .sync && !$0.isHarmless }
                || planned.plan.filesystems.contains { $0.hiddenStorage == .nvmeLoop }
                || !planned.plan.unreachable.isEmpty
        case .freezerHangs:
            coverage.note(.freezerHung)
            process?.isKilled = true
        case .froze(let index, let result):
            if result.error == nil, check.frozen.indices.contains(index) { check.frozen[index] = true }
            if result.error == .resourceBusy { coverage.note(.frozenByForeigner) }
            noteLateFreeze(index, result)
        case .thawed(let index, let result):
            noteThawBeside(index, result)
            if result.error == .invalidArgument { coverage.note(.thawedByForeigner) }
        case .mountsChecked(let work, let change, let allFrozen) where work == mountCheck:
            check.mountsAreAsPlanned =
                change == nil && ([.checking, .flushingLast].contains(machine.state) || allFrozen)
        case .hookFinished(let work, let run) where machine.isAwaited(work): noteHook(run)
        case .sessionEnded(_, let run): noteSessionEnd(run)
        default: break
        }
    }

    private func noteHook(_ run: HookRun) {
        if run.phase == .thaw { return noteThawHook(run) }
        if run.outcome.succeeded { check.hooksSucceeded.append(run.name) }
        if run.outcome.didWork { check.hooksWorked.insert(run.name) }
        guard case .notStarted = run.outcome else { return }
        for index in check.owedHooks.indices where check.owedHooks[index].name == run.name {
            check.owedHooks[index].isOptional = true
        }
    }

    private func noteSessionEnd(_ run: HookRun) {
        let state = machine.state
        if check.areSessionsReleased {
            if !run.outcome.succeeded { coverage.note(.sessionFailedAtRelease) }
            check.isSessionLost = check.isSessionLost || !run.outcome.succeeded
        } else if machine.isWindowOpen {
            coverage.note(state == .frozen ? .sessionLostFrozen : .sessionLostInWindow)
            check.isSessionLost = true
        } else {
            coverage.note(.sessionLostEarly)
            check.hooksSucceeded.removeAll { $0 == run.name }
        }
    }

    /// What never ran is still owed its call, as often as the policy says and its budget allows.
    private func noteThawHook(_ run: HookRun) {
        if run.outcome.succeeded, !check.isLeftover, check.hooksWorked.contains(run.name),
            failedThaws.remove(run.name) != nil
        {
            coverage.note(.attentionEnded)
            check.attentionEnds = run.name
        }
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
        if scenario.policy.isDryRun { inspectRehearsal(effect) }
        switch effect {
        case .open(_, let id, let channel, let options):
            inspectQuiet(effect)
            if !options.isRehearsal, hosts.contains(where: { $0.channel == channel && $0.isStandIn }) {
                violate("P2", "a request of a stand-in counts as a backup")
            }
            noteBegin(id)
            check.planningBegan = now
        case .openAgain:
            inspectQuiet(effect)
            coverage.note(.replanned)
            (check.isOpened, check.isHandedOver, check.planningBegan) = (false, false, now)
            if process?.request != nil { violate("P1", "planned again, and the freezer holds the last plan") }
        case .withdraw:
            inspectQuiet(effect)
            check.isWithdrawn = true
        case .startFreezer, .killFreezer, .handOver, .openChannels: inspectFreezerEffect(effect)
        case .readMemory: inspectQuiet(effect)
        case .flush:
            inspectQuiet(effect)
            inspectConfirmation(before: "a flush")
            check.mountsAreAsPlanned = false
            // Applications do not wait for a search.
            if machine.state != .flushingLast { check.hasSearched = false }
        case .findWriteHolders:
            inspectQuiet(effect)
            check.hasSearched = true
            if machine.isSearchingOfStuck { (check.hasSearchedForStuck, check.stuckSearch) = (true, now) }
        case .runHook(_, let index, let phase, let succeeded, _, let timeout):
            inspectQuiet(effect)
            inspectTimeout(timeout, of: index)
            inspectHook(index, phase, succeeded: succeeded)
        case .startSession(_, let index, let timeout):
            inspectQuiet(effect)
            inspectTimeout(timeout, of: index)
            inspectFreezeHook(index)
        case .releaseSessions:
            inspectQuiet(effect)
            check.areSessionsReleased = true
            coverage.note(.sessionsReleased)
        case .runLeftoverHook(_, let name, _, _, let outcome, _):
            inspectQuiet(effect)
            if (outcome != nil) != check.thawSucceeded {
                violate("P4", "a leftover thaw hook is told \(String(describing: outcome)), the host is not")
            }
            inspectThawHook(name)
        case .assess, .reopenChannels, .release, .keepLost: inspectQuiet(effect)
        case .keepOutcome:
            inspectQuiet(effect)
            if !check.thawSucceeded { violate("P3", "success is kept, but the host is not told") }
        case .record(let record):
            inspectQuiet(effect)
            inspect(record)
        case .freeze(let step, _, let windowDeadline):
            let limits = [
                served?.options.window, served.flatMap { machine.policy.rules(of: $0.channel).maxWindow },
            ]
            if let limit = limits.compactMap(\.self).min(), windowDeadline.nanoseconds > now + limit.nanoseconds {
                violate("P1", "the window is longer than the request, or its channel, allows")
            }
            inspectFreeze(step)
        case .takeOverThaw: coverage.note(.tookOver)
        case .answer(let channel, let operation, let verdict, let detail):
            inspectAnswer(channel, operation, verdict, detail)
        case .exit:
            inspectAnswered()
            inspectLastPublication()
        case .progress(let progress):
            inspect(progress)
            if case .failed(let reason) = progress.event {
                inspectFailure(reason)
                noteLateFreezes(reason)
            }
        case .thaw, .verify:
            if isRCUExpedited { violate("RCU", "grace periods are still expedited at \(effect)") }
        case .checkMounts: inspectQuiet(effect)
        case .recover, .pauseBeforeFreezer, .expediteRCU, .pollMounts, .cancelHook, .note, .keepAttention,
            .publish, .cancelPublication, .pauseBeforePublication:
            break
        }
    }

    private func noteBegin(_ id: RequestID) {
        check = PromiseCheck()
        if let problem = progress.began(id) { violate("progress", problem) }
        guard let number = Int(id.text), operations.indices.contains(number) else { return }
        operations[number].hasBegun = true
    }

    /// A dry run looks, and does nothing.
    private func inspectRehearsal(_ effect: RequestEffect) {
        switch effect {
        case .handOver, .withdraw, .killFreezer, .flush, .findWriteHolders, .checkMounts, .pollMounts, .verify,
            .runHook,
            .startSession, .releaseSessions, .runLeftoverHook, .cancelHook, .expediteRCU, .freeze, .thaw,
            .takeOverThaw:
            violate("dry run", "\(effect)")
        default: break
        }
    }

    /// P7. What hangs in the kernel is no reason to wait.
    func inspectQuiet(_ effect: RequestEffect) {
        if let frozen = frozenButNotStuck { violate("P7", "\(effect) while \(frozen) is frozen") }
    }

    var frozenButNotStuck: String? {
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
            if hooks[index].kind == .session { violate("P4", "a session hook is called for thaw") }
            if succeeded != check.thawSucceeded {
                violate("P4", "a thaw hook is told \(succeeded), the host is not")
            }
            return inspectThawHook(hooks[index].name)
        }
        inspectFreezeHook(index)
        check.owedHooks.append((hooks[index].name, false))
    }

    private func inspectTimeout(_ timeout: Duration, of index: Int) {
        guard let hooks = ledger?.hooks, hooks.indices.contains(index) else { return }
        let policy = scenario.policy
        let limit = min(hooks[index].timeout ?? policy.hookTimeout, policy.hooksTotalTimeout)
        if timeout > limit || timeout <= .zero {
            violate("P9", "hook \(hooks[index].name) is given \(timeout), and may take \(limit)")
        }
    }

    private func inspectFreezeHook(_ index: Int) {
        inspectWriters(before: "a hook locks")
        guard let hooks = ledger?.hooks, hooks.indices.contains(index) else {
            return violate("P4", "there is no hook \(index)")
        }
        if hooks[index].refusal != nil { violate("P4", "a refused hook is run") }
        let name = hooks[index].name
        if let last = check.freezeHooksStarted.last(where: { HookKind(hookName: $0) == hooks[index].kind }),
            last >= name
        {
            violate("P4", "hook \(name) is run for freeze after \(last)")
        }
        if hooks[index].kind == .plain, let session = check.freezeHooksStarted.first(where: isSession) {
            violate("P4", "plain hook \(name) is run under session hook \(session)")
        }
        check.freezeHooksStarted.append(hooks[index].name)
    }

    private func isSession(_ name: String) -> Bool { HookKind(hookName: name) == .session }

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
        progress.recorded(record)
        for owed in check.owedHooks where !owed.isOptional { violate("P4", "\(owed.name) is not called for thaw") }
        check.owedHooks = []
        inspectHolders(record)
        inspectLateFreezes(record)
        if !heldSessions.isEmpty, !check.areSessionsReleased { violate("P4", "a session hook is not released") }
        coverage.lastRecord = now
        if (record.result == .succeeded) != check.thawSucceeded {
            violate("P3", "the record says \(record.result), the host was told otherwise")
        }
        if check.isCrashConsistent, let level = record.level, level > .crash {
            violate("P2", "the level is \(level), and not everything was frozen")
        }
        check.isCrashConsistent = false
        if let served, served.id == record.id,
            (record.options.freezes, record.options.isRehearsal)
                != (served.options.freezes, served.options.isRehearsal)
        {
            violate("P2", "the record does not say what the request was for: \(record.options)")
        }
        if !record.options.freezes, record.level != nil { violate("P3", "a level, and nothing was frozen") }
        if record.level == .application, check.hooksWorked.isEmpty, !record.isDryRun {
            violate("P3", "the level is application, and no hook did its work")
        }
        if record.level == .filesystem, check.hooksWorked.isEmpty, !check.hooksSucceeded.isEmpty {
            coverage.note(.onlySkipped)
        }
        inspectAttention(record)
    }

    /// An admin learns of every hook that failed at thaw, until it did its work once more, and was thawed.
    private func inspectAttention(_ record: RequestRecord) {
        failedThaws.formUnion(record.attention)
        let attention = Set(machine.attention.map(\.hook))
        // More may need attention: a request that a crash has cut short has no record.
        if !failedThaws.isSubset(of: attention) { violate("attention", "\(failedThaws) are not in \(attention)") }
    }

    private func inspectFreeze(_ step: Int) {
        guard let steps = currentFreezer.map({ freezers[$0].steps }) else {
            return violate("P6", "frozen without a plan")
        }
        inspectConfirmation(before: "FIFREEZE")
        if !isRCUExpedited { violate("RCU", "FIFREEZE waits for ordinary grace periods") }
        if check.lastStep < 0 { inspectWriters(before: "FIFREEZE") }
        if !check.mountsAreAsPlanned { violate("P2", "frozen without another look at the mount table") }
        if step <= check.lastStep { violate("P6", "step \(step) follows step \(check.lastStep)") }
        check.lastStep = step
        for (index, other) in steps.enumerated() where other < step && !check.frozen[index] {
            violate("P6", "step \(step) is frozen before \(index) of step \(other)")
        }
        if steps.contains(where: { $0 < step }) { coverage.note(.secondStep) }
    }

    // MARK: At any moment

    func inspectMachine() {
        // Each look at a property of another module copies the whole machine: once is enough.
        let machine = machine
        defer { check.wasWindowOpen = machine.isWindowOpen }
        if machine.requestID != nil, deadline == nil {
            violate("P9", "\(machine.state.rawValue) without a deadline")
        }
        if machine.isStuck { coverage.note(.stuck) }
        inspectWindow(machine)
        inspectFileWrites(machine)
        inspectPreparation(machine)
        inspectPublisher(machine)
        if isDaemonUp, isRCUExpedited, machine.state != .freezing, machine.state != .recovering {
            violate("RCU", "grace periods are expedited in \(machine.state.rawValue)")
        }
        if !machine.debts.isEmpty, !machine.lostChannels.isEmpty { coverage.note(.lost) }
        if let name = check.attentionEnds {
            check.attentionEnds = nil
            if machine.attention.contains(where: { $0.hook == name }) {
                violate("attention", "\(name) still needs attention")
            }
        }
        guard isDaemonUp, machine.state == .idle else { return }
        // Of a caller who is gone nothing is kept: there is no end to their number.
        let isKnown = { (channel: ChannelID) in self.hosts.contains { $0.channel == channel } }
        if !machine.debts.keys.allSatisfy(isKnown) { violate("memory", "debts of \(machine.debts.keys)") }
        if !machine.standIns.allSatisfy(isKnown) { violate("memory", "stand-ins \(machine.standIns)") }
    }

    /// P7: a write to a filesystem that is frozen, or has a hanging FIFREEZE, would hang as well.
    private func inspectFileWrites(_ machine: RequestMachine) {
        guard isDaemonUp, !machine.mayFileWriteHang else { return }
        for (index, superblock) in superblocks.enumerated()
        where superblock.isFrozenByUs || superblock.freezing != nil {
            violate("P7", "files may be written to while \(SimulatedWorld.mountPoints[index]) is frozen")
        }
    }

    /// Nothing is left frozen where the machine says that the window is closed, but what it names as stuck: and that
    /// does hang.
    private func inspectWindow(_ machine: RequestMachine) {
        guard isDaemonUp, !machine.isWindowOpen, machine.state != .recovering else { return }
        guard superblocks.contains(where: \.isFrozenByUs) || machine.isStuck else { return }
        if let frozenButNotStuck { violate("P1", "\(frozenButNotStuck) is frozen in \(machine.state)") }
        guard machine.state == .thawHooks || machine.state == .releasing, check.wasWindowOpen else { return }
        // That the freezer died may not have been told yet; the take-over follows.
        guard orphanThaw != nil || currentFreezer.map({ freezers[$0].acts }) ?? false else { return }
        for (index, superblock) in superblocks.enumerated() where superblock.isFrozenByUs {
            if superblock.inFlight == nil, !isGuardThawing(index) {
                violate("P1", "\(SimulatedWorld.mountPoints[index]) is given up, though nothing hangs")
            }
        }
    }

    /// Everything that could happen has happened.
    func checkQuiet() {
        if machine.state != .idle {
            violate("liveness", "\(machine.state.rawValue) when nothing is left to happen")
        }
        if machine.isStuck { violate("liveness", "stuck on \(machine.stuckMountPoints) when nothing hangs") }
        if superblocks.contains(where: \.isFrozenByUs) { violate("P1", "something is frozen at the end") }
        for host in hosts where host.isThawAnswered {
            if machine.lostChannels[host.channel] != nil {
                violate("LOST", "the THAW that is waited for was answered already")
            }
        }
        if ledger != nil { violate("liveness", "nothing was released") }
        checkPublished()
        inspectAnswered()
    }

    private func inspectAnswered() {
        if let leftover = progress.leftover { violate("progress", leftover) }
        for (number, operation) in operations.enumerated() where !operation.isLost && operation.verdict == nil {
            violate("answers", "\(operation.kind) \(number) is never answered")
        }
    }
}
