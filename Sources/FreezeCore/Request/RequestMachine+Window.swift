import SystemPackage

/// The window: freezing step by step, frozen, thawing.
extension RequestMachine {
    static let recoveredByForce = "thawed by hand: quiescectl recover --force"

    // MARK: Freezing

    mutating func startFreezing() {
        state = .freezing
        request?.record.windowOpened = now
        let maxWindow = windowLimit.duration
        request?.windowDeadline = now + maxWindow
        _ = nextWork(for: min(policy.freezeTimeout, maxWindow))
        // A plan may leave steps out, or have only filesystems to flush.
        guard let first = request?.targets.compactMap(\.step).min() else { return stepMayBeComplete() }
        freezeStep(first)
    }

    private mutating func freezeStep(_ step: Int) {
        guard let request, let windowDeadline = request.windowDeadline, let freezeDeadline = deadline else {
            return
        }
        self.request?.step = step
        expediteRCU(true)
        for (index, target) in request.targets.enumerated() where target.step == step {
            self.request?.progress[index] = .freezing
        }
        emit(.freeze(step: step, freezeDeadline: freezeDeadline, windowDeadline: windowDeadline))
    }

    /// FIFREEZE waits for RCU grace periods, and writers wait for FIFREEZE. Expedited from before the first FIFREEZE until
    /// the last has returned or is given up, and no longer: every processor pays for expedited grace periods.
    private mutating func expediteRCU(_ isExpedited: Bool) {
        guard let request, request.expeditesRCU != isExpedited else { return }
        self.request?.expeditesRCU = isExpedited
        emit(.expediteRCU(isExpedited))
    }

    mutating func froze(_ index: Int, _ result: TimedResult) {
        if stuck[index] != nil { return stuckReturned(index, isFrozen: result.error == nil) }
        // A report that was overtaken by the take-over's, which thawed it, says nothing any more.
        guard let request, request.progress.indices.contains(index), isWindowOpen,
            request.progress[index] == .freezing
        else { return }
        let target = request.targets[index]
        self.request?.progress[index] = result.error == nil ? .frozen : .settled
        recordTarget(index) { $0.freeze = result }
        if result.error == nil { explainLateFreeze(index) }
        report(.froze(target.mountPoint, result))
        if let error = result.error, error != .canceled || state == .freezing {
            fail("\(target.mountPoint.escaped): \(freezeProblem(error))", about: .filesystem(target.mountPoint))
        }
        switch state {
        case .freezing: stepMayBeComplete()
        case .thawing: thawMayBeComplete()
        default: break
        }
    }

    private mutating func stepMayBeComplete() {
        guard let request, !request.progress.contains(.freezing) else { return }
        let later = request.targets.compactMap(\.step).filter { $0 > request.step }
        if let next = later.min() { return freezeStep(next) }
        expediteRCU(false)
        state = .verifying
        // The freeze timeout goes on: the answer belongs to it.
        let freezeDeadline = deadline
        emit(.verify(nextWork(for: nil)))
        deadline = freezeDeadline
    }

    mutating func freezeTimedOut() {
        guard let request else { return }
        let indices = request.progress.indices.filter { request.progress[$0] == .freezing }
        self.request?.lateFreezes = Set(indices)
        let late = indices.map { request.targets[$0].mountPoint }
        fail(
            "\(late.map(\.escaped).joined(separator: ", ")): not frozen within freeze.timeout (\(DurationText.text(policy.freezeTimeout))); "
                + "a writer or the device does not get ready"
                + (request.memory.flatMap { $0.isMuch ? "; \($0.clause)" : nil } ?? ""),
            about: late.first.map { .filesystem($0) })
    }

    /// A FIFREEZE that hung, and returns as soon as another filesystem is thawed, may have waited for that one: it was to
    /// write to a file there, through a server that /sys does not show.
    private mutating func explainLateFreeze(_ index: Int) {
        guard let request, request.lateFreezes.contains(index), let failure = request.failure else { return }
        let recent = request.thaws.filter { now - $0.moment < policy.hangingFreezePatience }.map(
            \.mountPoint.escaped)
        guard state == .thawing, !recent.isEmpty else { return }
        self.request?.lateFreezes.remove(index)
        let target = request.targets[index].mountPoint.escaped
        self.request?.failure =
            failure
            + "; \(target) was frozen as soon as \(recent.joined(separator: ", ")) was thawed, so it may be "
            + "stored there: freeze it first, by [[filesystems.order]]"
    }

    // MARK: Frozen

    mutating func checkedWhileFrozen(_ change: String?, allFrozen: Bool) {
        if let change { return fail("the mount table changed while freezing: \(change)") }
        if !allFrozen { return fail("the ledger does not say that everything is frozen") }
        // The answer may have been read later than it was given, when the freezer's deadline had passed.
        guard deadline.map({ now < $0 }) ?? false else { return fail("reading the mount table took too long") }
        guard let request, let operation = request.freezeOperation else { return }
        state = .frozen
        deadline = request.windowDeadline
        succeed(operation)
    }

    /// Answers FREEZE with success. The window ends at `deadline`.
    mutating func succeed(_ operation: OperationID) {
        guard let request else { return }
        self.request?.wasFrozen = true
        self.request?.freezeOperation = nil
        self.request?.record.answered = now
        self.request?.record.isAnsweredWithSuccess = true
        var detail = AnswerDetail(request: request.id, reason: levelReason)
        detail.windowDeadline = deadline
        detail.filesystems = policy.isDryRun ? 0 : request.targets.count
        detail.flushed = request.planned?.plan.filesystems.count { $0.action == .sync }
        answer(request.channel, operation, .success, detail)
    }

    /// The THAW that ends the window fails.
    mutating func loseWindow(by findings: WindowFindings) {
        // FITHAW alone detects no thaw and refreeze by another agent.
        if let mountPoint = findings.written {
            fail(
                "\(mountPoint.escaped): somebody else thawed it in the window, or wrote to its device: the snapshot may be torn",
                about: .filesystem(mountPoint))
        }
        // The host's snapshot holds a filesystem that was writable in the window.
        if let change = findings.becameWritable {
            fail("the mount table changed in the window: \(change); the snapshot may be torn")
        }
    }

    mutating func freezerThaws(_ cause: ThawCause) {
        guard isWindowOpen else { return }
        switch cause {
        // The deadline of the machine, which can name the filesystems that are not frozen.
        case .freezeDeadline where state == .freezing: freezeTimedOut()
        case .freezeDeadline: fail("not everything was frozen within freeze.timeout")
        case .windowDeadline: fail(windowExpired)
        }
    }

    // MARK: Thawing

    mutating func beginThaw() {
        let steps = (request?.targets.compactMap(\.step).max() ?? 0) + 1
        expediteRCU(false)
        state = .thawing
        _ = nextWork(for: policy.freezerPatience + .seconds(steps))
        emit(.thaw)
        thawMayBeComplete()
    }

    mutating func thawed(_ index: Int, _ result: TimedResult) {
        if stuck[index] != nil {
            if result.error == nil || result.error == .invalidArgument { stuckReturned(index, isFrozen: false) }
            return
        }
        guard let request, request.progress.indices.contains(index), state == .thawing || isWindowOpen else {
            return
        }
        if result.error == .canceled { return }
        let mountPoint = request.targets[index].mountPoint
        recordTarget(index) { $0.thaw = result }
        report(.thawed(request.targets[index].mountPoint, result))
        switch result.error {
        case nil:
            self.request?.progress[index] = .settled
            self.request?.thaws.append((mountPoint, now))
        case .invalidArgument?:
            let wasFrozen = request.progress[index] == .frozen
            self.request?.progress[index] = .settled
            if wasFrozen {
                fail(
                    "\(mountPoint.escaped): somebody else thawed it in the window: the snapshot may be torn",
                    about: .filesystem(mountPoint))
            }
        case let error?:
            fail(
                "\(mountPoint.escaped): thawing it fails: \(error); it is tried again",
                about: .filesystem(mountPoint))
        }
        thawMayBeComplete()
    }

    mutating func thawFinished() {
        guard state == .thawing, request?.isThawFinished == false else { return }
        request?.isThawFinished = true
        deadline = now + policy.takeoverPatience
        thawMayBeComplete()
    }

    /// The end of the freezer, which follows, does the rest.
    mutating func recoveredByForce() {
        if state != .releasing { fail(Self.recoveredByForce) }
    }

    mutating func thawTimedOut() {
        if request?.isThawFinished == false, request?.isTakenOver == false {
            fail("the freezer did not thaw in time; quiesced took over")
            return takeOver()
        }
        closeWindow()
    }

    mutating func takeOver() {
        guard request?.isTakenOver != true else { return }
        request?.isTakenOver = true
        if freezer == .ready { freezer = .killed }
        emit(.takeOverThaw)
        if state == .thawing { deadline = now + policy.takeoverPatience }
    }

    private mutating func thawMayBeComplete() {
        guard state == .thawing, let request else { return }
        let isComplete = request.progress.allSatisfy { $0 == .settled || $0 == .planned }
        if isComplete { return closeWindow() }
        // Nothing that is frozen is left, but a FIFREEZE hangs, and whoever could has done for it what can be done.
        if request.isThawFinished || request.isTakenOver, !request.progress.contains(.frozen) {
            let limit = now + policy.hangingFreezePatience
            deadline = min(deadline ?? limit, limit)
        }
    }

    private mutating func recordTarget(_ index: Int, _ change: (inout FilesystemRecord) -> Void) {
        guard let device = request?.targets[index].device,
            let record = request?.record.filesystems.firstIndex(where: { $0.device == device })
        else { return }
        if var changed = request?.record.filesystems[record] {
            change(&changed)
            request?.record.filesystems[record] = changed
        }
    }
}
