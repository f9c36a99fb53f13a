@testable import FreezeCore

extension Simulation {
    func inspectAnswer(
        _ channel: ChannelID, _ id: OperationID, _ verdict: OperationAnswer, _ detail: AnswerDetail
    ) {
        let number = Int(id.number)
        guard operations.indices.contains(number) else { return violate("answers", "there is no \(id)") }
        let operation = operations[number]
        if operation.isLost { violate("answers", "\(id) is answered after its channel was lost") }
        if operation.verdict != nil { violate("answers", "\(id) is answered twice") }
        if operation.channel != channel { violate("answers", "\(id) on another channel") }
        operations[number].verdict = verdict
        let waited = now - operation.received
        inspectWait(operation, waited)
        inspectDetail(operation, verdict, detail)
        switch (operation.kind, verdict) {
        case (.freeze, .success): inspectFrozen(operation, detail)
        case (.freeze, .failure): inspectRefused(operation, waited, detail)
        case (.thaw, .success): inspectThawed(operation)
        case (.thaw, .failure): inspectThawFailed(operation, detail)
        case (.hotBackup, _): coverage.note(operation.mayWait ? .startedAnew : .hotBackup)
        }
        if verdict == .failure, waited > 0, waited < scenario.thawAnswerLimit.nanoseconds,
            let frozen = frozenButNotStuck
        {
            violate("P1", "\(id) is answered with failure while \(frozen) is still frozen")
        }
    }

    private func inspectWait(_ operation: SimulatedOperation, _ waited: Int64) {
        let lateness: Int64 = faults.contains(.lateTimer) ? 3_000_000_000 : 0
        let limit =
            operation.kind == .freeze ? ChannelRules.hyperVFreezeAnswerLimit : scenario.thawAnswerLimit
        if waited > limit.nanoseconds + lateness + (stoodStill - operation.stoodStillBefore) {
            violate("answers", "\(operation.kind) waited \(waited / 1_000_000) ms")
        }
    }

    private func inspectDetail(
        _ operation: SimulatedOperation, _ verdict: OperationAnswer, _ detail: AnswerDetail
    ) {
        if (verdict == .success) != (detail.refusal == nil) {
            violate("answers", "\(verdict) and \(String(describing: detail.refusal))")
        }
        if verdict == .failure, detail.reason == nil {
            violate("answers", "\(operation.kind) fails without a reason")
        }
        if detail.isDryRun != scenario.policy.isDryRun { violate("dry run", "an answer is not marked") }
    }

    // MARK: FREEZE

    private func inspectRefused(_ operation: SimulatedOperation, _ waited: Int64, _ detail: AnswerDetail) {
        coverage.note(waited == 0 ? .refused : .freezeFailed)
        if waited > 0, !operation.hasBegun { coverage.note(.cancelledWhileWaiting) }
        if operation.isSecond { return inspectBusy(operation, detail) }
        let isRehearsedInVain = scenario.policy.isDryRun && !hosts[operation.host].mayRehearse
        if isRehearsedInVain { coverage.note(.rehearsalRefused) }
        if faults.isEmpty, waited > 0, !isRehearsedInVain, planned?.filesystems(.freeze).isEmpty == false {
            violate("liveness", "FREEZE fails though everything is well")
        }
    }

    /// P8: that another asks does nothing to the request that is served.
    private func inspectBusy(_ operation: SimulatedOperation, _ detail: AnswerDetail) {
        let expected: AnswerDetail.Refusal = operation.isError ? .failed : .busy
        if detail.refusal != expected, machine.shutdownReason == nil {
            violate("P8", "a second FREEZE is refused, but not as \(expected)")
        }
        if operation.isError { coverage.note(.secondFreezeIsError) }
        if operation.state != machine.state { violate("P8", "a second FREEZE leads to \(machine.state)") }
        coverage.note(machine.owner == operation.channel ? .busyWithOwn : .busyWithForeign)
    }

    private func inspectFrozen(_ operation: SimulatedOperation, _ detail: AnswerDetail) {
        if operation.received < coverage.lastRecord { coverage.note(.servedAfterWaiting) }
        if detail.windowDeadline.map({ $0.nanoseconds <= now }) ?? true {
            violate("P2", "FREEZE is answered with success, but its window is over")
        }
        if scenario.policy.isDryRun {
            coverage.note(.rehearsed)
            if !hosts[operation.host].mayRehearse { violate("dry run", "a real host is told success") }
            if machine.state != .rehearsing { violate("dry run", "FREEZE succeeds in \(machine.state)") }
            return
        }
        if served?.options.freezes == false { return inspectHeld() }
        coverage.note(.frozen)
        // Who thaws between the last look and the answer is noticed at the end only.
        let isIncomplete =
            ledger?.superblocks.contains { !superblocks[$0].isFrozenByUs && !superblocks[$0].isOwedThaw } ?? true
        if isIncomplete { violate("P2", "FREEZE is answered with success, but not all is frozen by us") }
        if !check.mountsAreAsPlanned { violate("P2", "FREEZE is answered with success after the mounts changed") }
        inspectHooksAtFreeze()
    }

    private func inspectHeld() {
        coverage.note(.held)
        if machine.state != .holding { violate("P2", "the hooks hold, in \(machine.state)") }
        if superblocks.contains(where: \.isFrozenByUs) { violate("P2", "frozen, and another agent was to freeze") }
        inspectHooksAtFreeze()
    }

    private func inspectHooksAtFreeze() {
        guard served?.options.callsHooks == true else {
            if !check.freezeHooksStarted.isEmpty { violate("P2", "hooks are called that were not wanted") }
            return
        }
        for hook in scenario.hooks
        where (hook.onFailure ?? scenario.policy.onHookFailure) == .abort
            && !check.hooksSucceeded.contains(hook.name)
        {
            violate("P2", "FREEZE is answered with success though hook \(hook.name) did not succeed")
        }
    }

    // MARK: THAW

    private func inspectThawed(_ operation: SimulatedOperation) {
        if operation.isForced {
            coverage.note(.forcedThaw)
            if superblocks.contains(where: \.isFrozenByUs) {
                violate("P1", "a forced THAW succeeds while something is frozen")
            }
        } else if operation.endsWindow {
            check.thawSucceeded = true
            coverage.note(scenario.policy.isDryRun ? .rehearsalThawed : .thawed)
            if superblocks.contains(where: \.isFrozenByUs) {
                violate("P3", "THAW succeeds while something is frozen")
            }
            if check.isSessionLost { violate("P3", "THAW succeeds though a session hook was lost") }
            if !heldSessions.isEmpty { violate("P3", "THAW succeeds before every session hook has ended well") }
            if check.isMoreWritable { violate("P3", "THAW succeeds though something was mounted in the window") }
            if check.isTorn { violate("P3", "THAW succeeds though somebody else thawed in the window") }
        } else {
            inspectHarmless(operation)
        }
    }

    private func inspectHarmless(_ operation: SimulatedOperation) {
        let host = hosts[operation.host]
        if machine.policy.rules(of: operation.channel).thawWithoutWindow == .success {
            return inspectThawOfNothing(host)
        }
        coverage.note(.harmlessThaw)
        if host.lastFreeze != .failed {
            violate("P3", "THAW succeeds, but no FREEZE was frozen, or answered with failure")
        }
        if host.isForcedOut { violate("P3", "THAW succeeds, but its window was ended by force") }
        // Who shares a channel is told of his FREEZE, and not of another's.
        if host.role == .control, !operation.mayWait {
            violate("P3", "THAW succeeds without having ended anything")
        }
    }

    /// Success says that nothing is frozen, and not that a window was whole.
    private func inspectThawOfNothing(_ host: SimulatedHost) {
        coverage.note(.thawOfNothing)
        if host.isThawAnswered || hasThawVerdict(host) { return }
        if host.isForcedOut { violate("P3", "THAW succeeds, but its window was ended by force") }
        if host.isCutOff { violate("P3", "THAW succeeds, but its window was lost") }
        if host.lastFreeze == .succeeded {
            violate("P3", "THAW succeeds, but its window ended early")
        }
    }

    /// Whether an earlier THAW of the same window has an answer, which may be on its way to the host, or lost with the
    /// channel.
    private func hasThawVerdict(_ host: SimulatedHost) -> Bool {
        let own = operations.filter { $0.channel == host.channel && $0.verdict != nil && !$0.isUndelivered }
        guard let freeze = own.lastIndex(where: { $0.kind == .freeze && !$0.isBesides }) else { return false }
        return own[freeze...].count { $0.kind == .thaw && !$0.isForced } > 1
    }

    private func inspectThawFailed(_ operation: SimulatedOperation, _ detail: AnswerDetail) {
        coverage.note(.thawFailed)
        if now - operation.received >= scenario.thawAnswerLimit.nanoseconds { coverage.note(.thawOverdue) }
        if detail.refusal == .notOwner {
            coverage.note(.notOwner)
            if operation.isForced { violate("answers", "a forced THAW is refused") }
        }
        if detail.refusal == .nothingFrozen { coverage.note(.nothingFrozen) }
        if hosts[operation.host].isForcedOut { coverage.note(.lostByForce) }
        if operation.endsWindow, scenario.policy.isDryRun { violate("dry run", "THAW fails: \(detail)") }
    }
}
