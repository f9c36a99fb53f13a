import SystemPackage

/// From the last FITHAW to idle: session hooks, answers, thaw hooks, the record; and what is left of a crash or a
/// hanging FIFREEZE.
extension RequestMachine {
    /// Nothing more can be thawed now: names what hangs, lets go of the session hooks, answers the channel, and goes on
    /// with the thaw hooks.
    mutating func closeWindow() {
        guard let request else { return }
        if request.record.windowOpened != nil { self.request?.record.windowClosed = now }
        var late: [PlannedFilesystem] = []
        for (index, progress) in request.progress.enumerated() where progress == .freezing || progress == .frozen {
            let target = request.targets[index]
            stuck[index] = target.mountPoint
            late.append(target)
            note(
                .error,
                "\(target.mountPoint.escaped): its freeze, or its thaw, hangs in the kernel; it is watched, and thawed as soon as that returns",
                [
                    .messageID: MessageID.filesystemStuck.rawValue, .filesystem: target.mountPoint.string,
                    .requestID: request.id.text,
                ])
            if let record = request.record.filesystems.firstIndex(where: { $0.device == target.device }) {
                self.request?.record.filesystems[record].isStuck = true
            }
        }
        if !late.isEmpty { beginSearchOfStuck(late) }
        if isStuck, request.failure == nil {
            let names = stuckMountPoints.map(\.escaped).joined(separator: ", ")
            noteFailure(
                "\(names): not thawed; it is watched and thawed as soon as the kernel allows",
                about: stuckMountPoints.first.map { .filesystem($0) })
        }
        releaseSessions()
    }

    // MARK: Session hooks

    /// All at once, and before the answer: no application waits longer than the filesystems, and what was lost is known
    /// in time.
    private mutating func releaseSessions() {
        guard let request, !request.sessionsHeld.isEmpty else { return endWindow() }
        state = .releasing
        _ = nextWork(for: policy.sessionReleaseTimeout + policy.hookKillGrace)
        for index in request.sessionsHeld { report(.hookStarted(hookName(.planned(index: index)), .thaw)) }
        emit(.releaseSessions(timeout: policy.sessionReleaseTimeout))
    }

    mutating func sessionEnded(_ index: Int, _ run: HookRun) {
        guard let position = request?.sessionsHeld.firstIndex(of: index) else { return }
        request?.sessionsHeld.remove(at: position)
        request?.record.hooks.append(run)
        report(.hookEnded(run))
        guard state == .releasing else { return sessionLost(index, run) }
        if !run.outcome.succeeded { sessionNotReleased(run) }
        if request?.sessionsHeld.isEmpty == true { endWindow() }
    }

    /// A released session hook failed, and may have lost its lock in the window.
    private mutating func sessionNotReleased(_ run: HookRun) {
        fail(
            "hook \(run.name) \(run.outcome.failureClause ?? "ended") when it was released, so what it held may have been lost"
                + Self.lastLine(of: run), about: .hook(run.name))
    }

    /// The runner, which keeps the timeout itself, did not come back.
    mutating func releaseTimedOut() {
        for index in request?.sessionsHeld ?? [] {
            let run = HookRun(
                name: hookName(.planned(index: index)), phase: .thaw, outcome: .timedOut(abandoned: true),
                output: "",
                isOutputTruncated: false, started: stateSince, duration: now - stateSince)
            sessionEnded(index, run)
        }
    }

    // MARK: Answers

    private mutating func endWindow() {
        // Late answers are not heard any more.
        _ = nextWork(for: nil)
        answerAtEndOfWindow()
        if request?.wasFrozen == true, let outcome { emit(.keepOutcome(outcome)) }
        startThawHooks()
    }

    private mutating func answerAtEndOfWindow() {
        guard let request else { return }
        if let operation = request.freezeOperation {
            self.request?.freezeOperation = nil
            self.request?.record.answered = now
            answer(
                request.channel, operation, .failure,
                AnswerDetail(request: request.id, refusal: .failed, reason: request.failure))
            owe(request.channel, .harmless)
        } else if request.wasFrozen, request.mayThawFollow, let failure = request.failure {
            owe(request.channel, .lost(reason: failure))
        }
        for pending in request.pendingOperations {
            if case .neverBegan(let id, let reason) = pending.meaning {
                answerNeverBegan(pending.channel, pending.operation, id, reason)
                continue
            }
            let succeeds =
                switch pending.meaning {
                case .endsWindow: request.failure == nil
                case .harmless, .forced: !isStuck
                case .lateThaw, .startsAnew, .neverBegan: false
                }
            let detail = succeeds ? successDetail(pending.meaning) : failureDetail(pending.meaning)
            answer(pending.channel, pending.operation, succeeds ? .success : .failure, detail)
            if pending.meaning != .startsAnew, pending.meaning != .forced { debts[pending.channel] = nil }
        }
        self.request?.pendingOperations = []
    }

    private func successDetail(_ meaning: PendingOperation.Meaning) -> AnswerDetail {
        var detail = AnswerDetail(request: request?.id, reason: meaning == .endsWindow ? levelReason : nil)
        if meaning == .endsWindow, !policy.isDryRun { detail.filesystems = request?.targets.count }
        return detail
    }

    private func failureDetail(_ meaning: PendingOperation.Meaning) -> AnswerDetail {
        guard let request, let failure = request.failure else {
            return AnswerDetail(
                request: request?.id, refusal: .nothingFrozen, reason: "the THAW before it has ended the window")
        }
        // Who thaws by force has lost nothing: the window is another's.
        let isLost = request.wasFrozen && meaning != .forced
        return AnswerDetail(request: request.id, refusal: isLost ? .lost : .failed, reason: failure)
    }

    // MARK: Thaw hooks

    private mutating func startThawHooks() {
        state = .thawHooks
        request?.hooksDeadline = now + policy.hooksTotalTimeout
        // Nothing is frozen any more: the host may register its next request while hooks run.
        emit(.reopenChannels)
        runNextThawHook()
    }

    mutating func runNextThawHook() {
        guard let hook = request?.hooksOwedThaw.popLast(), let request else { return finish() }
        let remaining = max(request.hooksDeadline - now, policy.minimumThawHookTimeout)
        run(hook, .thaw, timeout: min(timeout(of: hook), remaining))
    }

    mutating func thawHookFinished(_ hook: HookReference, _ run: HookRun) {
        if case .notStarted = run.outcome {
            request?.failedThawStarts += 1
            if mayTryThawHookAgain {
                request?.hooksOwedThaw.append(hook)
                deadline = now + policy.thawHookRetryPause
                return
            }
        }
        judgeThawCall(run)
        request?.failedThawStarts = 0
        runNextThawHook()
    }

    private var mayTryThawHookAgain: Bool {
        guard let request, request.failedThawStarts < policy.thawHookAttempts else { return false }
        return now + policy.thawHookRetryPause < request.hooksDeadline
    }

    // MARK: Finish

    /// The record waits for a search for processes that keep a filesystem stuck.
    mutating func finishIfSearched() {
        guard state == .thawHooks, request?.runningHook == nil, request?.hooksOwedThaw.isEmpty == true else {
            return
        }
        finish()
    }

    private mutating func finish() {
        if isSearchingOfStuck { return deadline = nil }
        guard var record = request?.record else { return }
        record.ended = now
        record.result = request?.failure == nil ? .succeeded : .failed
        record.level = request?.failure == nil ? consistencyLevel : nil
        record.reason = request?.failure ?? levelReason
        record.subject = request?.failureSubject
        record.workingHooks = record.hooks.working
        record.attention = record.hooks.failedThaws
        emit(.record(record))
        report(.finished(record))
        request = nil
        state = .idle
        // While a FIFREEZE hangs, its descriptor and its place in the ledger are still needed.
        if !isStuck { emit(.release) }
        deadline = nil
        if shutdownReason != nil { return stop() }
        if let waiting {
            self.waiting = nil
            begin(waiting.channel, waiting.operation, waiting.id, waiting.options, received: waiting.received)
        }
    }

    /// The outcome of the window; nil after a failure.
    private var outcome: WindowOutcome? {
        guard let request, request.failure == nil else { return nil }
        return request.options.freezes ? consistencyLevel.map(WindowOutcome.snapshot) : .hooksHeld
    }

    /// How good the snapshot is, if the request succeeds.
    var consistencyLevel: ConsistencyLevel? {
        if let outcome = request?.leftoverOutcome { return outcome.level }
        guard let request, request.failure == nil, request.options.freezes, let planned = request.planned else {
            return nil
        }
        if planned.plan.lowersLevel { return .crash }
        // In a dry run the level is the best that a backup could reach.
        let working = request.record.isDryRun ? request.record.listedHooks : request.record.hooks.working
        return working.isEmpty || !request.failedHooks.isEmpty ? .filesystem : .application
    }

    /// Why the level is not the highest, and which filesystems the snapshot does not cover.
    var levelReason: String? {
        if let outcome = request?.leftoverOutcome {
            guard outcome.level == .application else {
                return "quiesced ended after the thaw, before the thaw hooks finished"
            }
            return
                "quiesced ended after the thaw, before the thaw hooks finished; the record does not list the hooks "
                + "that did their work"
        }
        guard let request, let planned = request.planned else { return nil }
        if request.record.isDryRun { return "dry run: nothing was frozen, and no hook was called" }
        let reasons =
            request.options.freezes
            ? [
                planned.plan.lowersLevel ? Self.crashReason(planned.plan) : Self.hooksReason(request, planned),
                request.options.mountPoints == nil ? nil : "only the selected filesystems were frozen",
                Self.leftOutReason(planned.plan),
            ] : ["only hooks were called: quiesced has frozen nothing", Self.hooksReason(request, planned)]
        let text = reasons.compactMap(\.self).joined(separator: "; ")
        return text.isEmpty ? nil : text
    }

    /// Why hooks do not make the snapshot consistent for applications.
    private static func hooksReason(_ request: ActiveRequest, _ planned: PlannedRequest) -> String? {
        if !request.options.callsHooks { return "no hooks were wanted" }
        if planned.hooks.isEmpty { return "there are no hooks" }
        if !request.failedHooks.isEmpty {
            return "failed hooks: " + request.failedHooks.map(escapedControlCharacters).joined(separator: ", ")
        }
        guard request.record.hooks.working.isEmpty else { return nil }
        let skipped = request.record.hooks.compactMap { run in
            guard case .skipped(let reason) = run.outcome else { return nil as String? }
            return escapedControlCharacters(reason.isEmpty ? run.name : "\(run.name) (\(reason))")
        }
        return "no hook had work: " + skipped.joined(separator: ", ")
    }

    private static func leftOutReason(_ plan: FreezePlan) -> String? {
        let leftOut = plan.leftOut
        guard !leftOut.isEmpty else { return nil }
        let names = leftOut.prefix(4).map(\.mountPoint.escaped).joined(separator: ", ")
        return "\(leftOut.count) left out: \(names)" + (leftOut.count > 4 ? " and \(leftOut.count - 4) more" : "")
    }

    private static func crashReason(_ plan: FreezePlan) -> String {
        var reasons: [String] = []
        if !plan.onlyFlushed.isEmpty {
            let names = plan.onlyFlushed.map(\.mountPoint.escaped).joined(separator: ", ")
            reasons.append("could only be flushed: \(names)")
        }
        if !plan.unreachable.isEmpty {
            let names = plan.unreachable.map(\.summary).joined(separator: ", ")
            reasons.append("in no mount table, so not frozen: \(names)")
        }
        let writing = plan.filesystems.filter(\.writesThroughFreeze)
        if !writing.isEmpty {
            let names = writing.map(\.mountPoint.escaped).joined(separator: ", ")
            reasons.append("on nvme-loop, which writes through a freeze: \(names)")
        }
        return reasons.joined(separator: "; ")
    }

    // MARK: What hangs

    /// A FIFREEZE or FITHAW that hung has returned.
    mutating func stuckReturned(_ index: Int, isFrozen: Bool) {
        // A frozen one is thawed by the freezer at once: that is its next report.
        guard !isFrozen, let mountPoint = stuck.removeValue(forKey: index) else { return }
        holders = isStuck ? holders.filter { $0.mountPoint != mountPoint } : []
        note(.warning, "\(mountPoint.escaped): its freeze, which had hung, has returned; it is thawed")
        if !isStuck, request == nil { emit(.release) }
    }

    mutating func leftoverSettled(_ mountPoint: FilePath) {
        guard let index = leftoverStuck.firstIndex(of: mountPoint) else { return }
        leftoverStuck.remove(at: index)
        note(.warning, "\(mountPoint.escaped): its freeze, which had hung, has returned; it is thawed")
        if !isStuck, request == nil { emit(.release) }
    }

    // MARK: What a crash left

    mutating func recovered(_ leftover: Leftover?) {
        guard state == .recovering else { return }
        state = .idle
        if shutdownReason == nil { openChannels() }
        guard let leftover else {
            if shutdownReason != nil { stop() }
            return
        }
        leftoverStuck = leftover.stuck
        var crashed = ActiveRequest(
            id: leftover.requestID, channel: leftover.channel, windowLimit: configuredWindowLimit,
            hooksDeadline: now,
            record: RequestRecord(id: leftover.requestID, channel: leftover.channel, clock: startClock.at(now)))
        crashed.record.options = leftover.options
        crashed.hooksOwedThaw = leftover.hooksOwedThaw.reversed().map(HookReference.leftover)
        crashed.leftoverOutcome = leftover.outcome
        request = crashed
        if leftover.outcome == nil {
            // A THAW that would succeed without a window may be the THAW of this request's window.
            if rules(of: leftover.channel).thawWithoutWindow == .success {
                debts[leftover.channel] = .lost(reason: "quiesced ended in the middle of this request")
            }
            noteFailure(
                leftover.isEndedByHand
                    ? Self.recoveredByForce
                    : "quiesced ended in the middle of this request; what it had frozen is thawed")
        }
        startThawHooks()
    }
}
