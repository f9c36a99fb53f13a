import SystemPackage

/// From the plan to the last moment at which nothing is frozen: flushing, plain hooks, flushing again, checking, session
/// hooks, flushing a last time.
extension RequestMachine {
    /// Whether it does when it fails.
    func endsRequest(_ hook: PlannedHook) -> Bool {
        (hook.onFailure ?? policy.onHookFailure) == .abort
    }

    // MARK: Flushing

    mutating func flush(in next: RequestState) {
        state = next
        // Applications wait for the last flush: no more than the freeze needs. Whoever sleeps inside a write was searched
        // for beside the flush before.
        let isLast = next == .flushingLast
        let filesystems = (request?.planned?.plan.filesystems ?? []).filter {
            isLast ? $0.action == .freeze : $0.action != .skip
        }
        request?.unflushed = filesystems
        let work = nextWork(for: isLast ? policy.freezeTimeout : policy.flushTimeout)
        if !filesystems.isEmpty { emit(.flush(work, filesystems)) }
        if !isLast { beginSearch(beside: work) }
        if filesystems.isEmpty { everythingIsFlushed() }
    }

    mutating func flushed(_ device: DeviceNumber, _ result: TimedResult) {
        guard let index = request?.record.filesystems.firstIndex(where: { $0.device == device }) else { return }
        request?.record.filesystems[index].flushes.append(result)
        request?.unflushed.removeAll { $0.device == device }
        guard let mountPoint = request?.record.filesystems[index].mountPoint else { return }
        report(.flushed(mountPoint, result))
        if let error = result.error {
            fail(
                "\(mountPoint.escaped): flushing it failed: \(error); look at the kernel's log for errors of its device",
                about: .filesystem(mountPoint))
        } else if request?.unflushed.isEmpty == true {
            everythingIsFlushed()
        }
    }

    private mutating func everythingIsFlushed() {
        // From here on the request waits only for the search, which has a limit of its own.
        if state != .flushingLast { deadline = nil }
        flushMayBeComplete()
    }

    mutating func flushMayBeComplete() {
        guard request?.unflushed.isEmpty == true, search == nil else { return }
        switch state {
        case .flushing: startFreezeHooks()
        case .flushingAgain: checkMounts()
        case .flushingLast: pollMounts()
        default: break
        }
    }

    mutating func flushTimedOut() {
        let late = (request?.unflushed ?? []).map(\.mountPoint)
        if late.isEmpty { return fail("reading the mount table took too long") }
        let names = late.map(\.escaped).joined(separator: ", ")
        let problem =
            state == .flushingLast
            ? "flushing under session hooks took longer than freeze.timeout (\(DurationText.text(policy.freezeTimeout)))"
            : "flushing took longer than flush_timeout (\(DurationText.text(policy.flushTimeout)))"
        let memory = request?.memory.map { "; \($0.clause)" } ?? ""
        fail("\(names): \(problem)\(memory)", about: late.first.map { .filesystem($0) })
    }

    // MARK: Freeze hooks

    mutating func startFreezeHooks() {
        state = .freezeHooks
        request?.hooksDeadline = now + policy.hooksTotalTimeout
        runNextFreezeHook()
    }

    /// The time that was left by the plain hooks. Without session hooks there is no state of theirs.
    private mutating func startSessionHooks() {
        request?.nextHook = 0
        guard request?.planned?.hooks.contains(where: { $0.kind == .session }) == true else {
            return isHooksOnly ? hold() : startFreezing()
        }
        state = .sessionHooks
        let remaining = request?.hooksRemaining ?? policy.hooksTotalTimeout
        request?.hooksDeadline = now + remaining
        runNextFreezeHook()
    }

    private mutating func freezeHooksAreDone() {
        guard state == .freezeHooks else { return isHooksOnly ? hold() : flush(in: .flushingLast) }
        let deadline = request?.hooksDeadline ?? now
        request?.hooksRemaining = deadline - now
        if isHooksOnly { return startSessionHooks() }
        flush(in: .flushingAgain)
    }

    var isHooksOnly: Bool { request?.options.freezes == false }

    /// The hooks hold their applications, and another agent freezes.
    private mutating func hold() {
        guard let request, let operation = request.freezeOperation else { return }
        state = .holding
        _ = nextWork(for: request.windowLimit.duration)
        self.request?.windowDeadline = deadline
        succeed(operation)
    }

    /// Plain hooks first, then session hooks, each kind in the order of the names: a plain hook never runs under the lock
    /// of a session.
    private mutating func runNextFreezeHook() {
        guard let request, let hooks = request.planned?.hooks else { return }
        let kind: HookKind = state == .freezeHooks ? .plain : .session
        guard let index = hooks.indices.dropFirst(request.nextHook).first(where: { hooks[$0].kind == kind }) else {
            return freezeHooksAreDone()
        }
        self.request?.nextHook = index + 1
        if hooks[index].refusal != nil {
            self.request?.failedHooks.append(hooks[index].name)
            return runNextFreezeHook()
        }
        let remaining = request.hooksDeadline - now
        guard remaining > .zero else {
            let total = DurationText.text(policy.hooksTotalTimeout)
            let run = HookRun(
                name: hooks[index].name, phase: .freeze,
                outcome: .notStarted(reason: "hooks.total_timeout (\(total)) was used up before it"), output: "",
                isOutputTruncated: false, started: now, duration: .zero)
            self.request?.record.hooks.append(run)
            return freezeHookFailed(index, run)
        }
        if hooks[index].kind == .plain { self.request?.hooksOwedThaw.append(.planned(index: index)) }
        run(.planned(index: index), .freeze, timeout: min(timeout(of: .planned(index: index)), remaining))
    }

    /// The longest that a call of the hook may take, whatever is left of the time for all hooks.
    func timeout(of hook: HookReference) -> Duration {
        let own =
            switch hook {
            case .planned(let index): request?.planned?.hooks[index].timeout
            case .leftover(let hook): hook.timeout
            }
        return own ?? policy.hookTimeout
    }

    mutating func run(_ hook: HookReference, _ phase: HookPhase, timeout: Duration) {
        guard let request else { return }
        self.request?.runningHook = hook
        report(.hookStarted(hookName(hook), phase))
        let work = nextWork(for: timeout + policy.hookKillGrace)
        switch hook {
        case .planned(let index) where request.planned?.hooks[index].kind == .session:
            emit(.startSession(work, index: index, timeout: timeout))
        case .planned(let index):
            emit(
                .runHook(
                    work, index: index, phase, succeeded: request.failure == nil,
                    level: phase == .thaw ? consistencyLevel : nil, timeout: timeout))
        case .leftover(let hook):
            emit(
                .runLeftoverHook(
                    work, name: hook.name, request.id, request.channel, outcome: request.leftoverOutcome,
                    timeout: timeout))
        }
    }

    mutating func hookFinished(_ run: HookRun) {
        guard let hook = request?.runningHook else { return }
        request?.runningHook = nil
        request?.record.hooks.append(run)
        report(.hookEnded(run))
        deadline = nil
        switch state {
        case .freezeHooks, .sessionHooks: freezeHookFinished(hook, run)
        case .thawHooks: thawHookFinished(hook, run)
        default: break
        }
    }

    private mutating func freezeHookFinished(_ hook: HookReference, _ run: HookRun) {
        // A program that could not even be executed has nothing to take back.
        if case .notStarted = run.outcome { request?.hooksOwedThaw.removeAll { $0 == hook } }
        guard case .planned(let index) = hook else { return }
        if run.outcome == .ready { request?.sessionsHeld.append(index) }
        if request?.failure != nil { return endWithoutWindow() }
        if run.outcome.succeeded { runNextFreezeHook() } else { freezeHookFailed(index, run) }
    }

    private mutating func freezeHookFailed(_ index: Int, _ run: HookRun) {
        if let hook = request?.planned?.hooks[index], endsRequest(hook) {
            return fail(Self.hookFailure(run), about: .hook(run.name))
        }
        request?.failedHooks.append(run.name)
        runNextFreezeHook()
    }

    /// The runner, which keeps the timeout itself, did not come back.
    mutating func hookTimedOut() {
        guard let request else { return }
        guard let hook = request.runningHook else {
            // The pause after a thaw hook that could not be started is over.
            return state == .thawHooks ? runNextThawHook() : ()
        }
        let name = hookName(hook)
        let phase: HookPhase = state == .thawHooks ? .thaw : .freeze
        // Its late answer is not awaited any more.
        _ = nextWork(for: nil)
        hookFinished(
            HookRun(
                name: name, phase: phase, outcome: .timedOut(abandoned: true), output: "",
                isOutputTruncated: false,
                started: now, duration: .zero))
    }

    static func hookFailure(_ run: HookRun) -> String {
        "hook \(run.name) \(run.outcome.failureClause ?? "succeeded")\(lastLine(of: run))"
    }

    /// To follow a clause; empty if the hook wrote nothing.
    static func lastLine(of run: HookRun) -> String {
        run.output.split(whereSeparator: \.isNewline).last.map { ": \($0)" } ?? ""
    }

    /// A session hook that is held has ended: before the window that may cost no more than its level, later it is lost.
    mutating func sessionLost(_ index: Int, _ run: HookRun) {
        let reason =
            "hook \(run.name) \(run.outcome.failureClause ?? "ended") before it was released, so what it held is lost"
            + Self.lastLine(of: run)
        if let hook = request?.planned?.hooks[index], !endsRequest(hook), !isWindowOpen {
            request?.failedHooks.append(run.name)
            return note(.warning, reason)
        }
        fail(reason, about: .hook(run.name))
    }

    // MARK: Checking

    private mutating func checkMounts() {
        state = .checking
        emit(.readMemory)
        emit(.checkMounts(nextWork(for: policy.planTimeout)))
    }

    /// A change now fails the request: a new plan would take longer than applications should wait.
    private mutating func pollMounts() {
        let limit = deadline
        // After the last flush, and before the first FIFREEZE: the window reads no file.
        emit(.readMemory)
        emit(.pollMounts(nextWork(for: nil)))
        deadline = limit
    }

    mutating func mountsChecked(_ change: String?, allFrozen: Bool) {
        switch state {
        case .checking: checkedBeforeFreezing(change)
        case .flushingLast:
            if let change { return fail("something changed while session hooks held: \(change)") }
            startFreezing()
        case .verifying: checkedWhileFrozen(change, allFrozen: allFrozen)
        default: break
        }
    }

    private mutating func checkedBeforeFreezing(_ change: String?) {
        guard let change else { return startSessionHooks() }
        guard let request, request.replans < policy.maximumReplans else {
            return fail("something keeps changing while hooks run: \(change)")
        }
        note(.info, "planning again, for something changed while hooks ran: \(change)")
        planAgain()
    }

    // MARK: Failure

    /// Ends the request, from whatever state it is in.
    mutating func fail(_ reason: String, about subject: FailureSubject? = nil) {
        // From the thaw hooks on the host has its answer, and nothing changes it any more.
        guard request != nil, state != .thawHooks else { return }
        let isFirst = request?.failure == nil
        noteFailure(reason, about: subject)
        switch state {
        case .planning, .flushing, .flushingAgain, .checking, .flushingLast, .rehearsing, .holding:
            endWithoutWindow()
        case .freezeHooks, .sessionHooks:
            if request?.runningHook == nil {
                endWithoutWindow()
            } else if isFirst {
                emit(.cancelHook)
                deadline = now + policy.hookKillGrace
            }
        case .freezing, .verifying, .frozen:
            beginThaw()
        case .thawing, .releasing, .thawHooks, .recovering, .idle, .stopped:
            break
        }
    }

    /// The first reason counts. It may quote a hook's name or output: it becomes one line that no terminal obeys.
    mutating func noteFailure(_ reason: String, about subject: FailureSubject? = nil) {
        guard request?.failure == nil else { return }
        let line = escapedControlCharacters(reason)
        request?.failure = line
        request?.failureSubject = subject
        report(.failed(reason: line))
    }

    private mutating func endWithoutWindow() {
        search = nil
        // Late answers of the work in progress are not heard any more.
        _ = nextWork(for: nil)
        closeWindow()
    }
}
