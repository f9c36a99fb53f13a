import SystemPackage

/// The progress of the state `planning`.
enum Preparation: Hashable, Sendable {
    /// The plan is made, and the filesystems of the plan are opened.
    case opening
    /// Waiting for a freezer.
    case awaitingFreezer
    /// The freezer was sent the ledger and the descriptors, and has not confirmed them.
    case handedOver
    /// The freezer holds the ledger and the descriptors.
    case confirmed
}

/// From the request to a freezer that holds every descriptor.
///
/// ```
/// opening → awaitingFreezer → handedOver → confirmed
///                   ↑______________|  the freezer ended
/// ```
extension RequestMachine {
    mutating func begin(
        _ channel: ChannelID, _ operation: OperationID, _ id: RequestID, _ options: FreezeOptions,
        received: WallClock
    ) {
        debts[channel] = nil
        var options = options
        // The host behind a stand-in takes no snapshots.
        if standIns.contains(channel) { options.isRehearsal = true }
        var new = ActiveRequest(
            id: id, channel: channel, windowLimit: windowLimit(of: channel, options),
            freezeOperation: operation, hooksDeadline: now,
            record: RequestRecord(id: id, channel: channel, clock: received))
        new.record.isDryRun = policy.isDryRun
        new.record.options = options
        if isStuck {
            request = new
            let names = stuckMountPoints.map(\.escaped).joined(separator: ", ")
            noteFailure(
                "the freeze of \(names) from an earlier request still hangs in the kernel"
                    + (holders.first.map { ": \($0.description). \($0.remedy)" } ?? ""),
                about: stuckMountPoints.first.map { .filesystem($0) })
            return closeWindow()
        }
        request = new
        state = .planning
        emit(.open(nextWork(for: policy.planTimeout), id, channel, options))
    }

    /// The shortest of the limits of configuration, channel and request.
    private func windowLimit(of channel: ChannelID, _ options: FreezeOptions) -> WindowLimit {
        var limit = configuredWindowLimit
        if let duration = rules(of: channel).maxWindow, duration < limit.duration {
            limit = WindowLimit(name: "\(channel.name).max_window", duration: duration)
        }
        if let duration = options.window, duration < limit.duration {
            limit = WindowLimit(name: "the request's window", duration: duration)
        }
        return limit
    }

    var configuredWindowLimit: WindowLimit {
        WindowLimit(name: "freeze.max_window", duration: policy.maxWindow)
    }

    /// After a change since the last plan. The hooks of the first plan stay the hooks of the request.
    mutating func planAgain() {
        request?.replans += 1
        request?.preparation = .opening
        state = .planning
        // A freezer refuses a second ledger.
        emit(.withdraw)
        emit(.openAgain(nextWork(for: policy.planTimeout)))
    }

    // MARK: Opening

    mutating func opened(_ planned: PlannedRequest) {
        guard state == .planning, request?.preparation == .opening, let isAgain = request.map({ $0.replans > 0 })
        else { return }
        let options = request?.options ?? FreezeOptions()
        // Hooks are named by their index in the first list, also for thaw.
        let hooks = request?.planned?.hooks ?? (options.callsHooks ? planned.hooks : [])
        request?.planned = PlannedRequest(plan: planned.plan, hooks: hooks)
        let targets = options.freezes ? planned.plan.filesystems(.freeze) : []
        request?.targets = targets
        request?.progress = Array(repeating: .planned, count: targets.count)
        record(planned.plan)
        request?.record.refusedHooks = hooks.filter { $0.refusal != nil }
        for text in planned.plan.notes { note(.warning, text) }
        report(.planned(planned.plan, hooks))
        do throws(PlanError) {
            if options.freezes { try planned.plan.requireSomethingToFreeze() }
        } catch {
            return fail(error.description)
        }
        if !isAgain, let refused = hooks.first(where: { $0.refusal != nil && endsRequest($0) }) {
            return fail("hook \(refused.name) is refused: \(refused.refusal ?? "")", about: .hook(refused.name))
        }
        if policy.isDryRun { return answerDryRun() }
        request?.preparation = .awaitingFreezer
        handOver()
    }

    mutating func openingFailed(_ reason: String, _ plan: FreezePlan?, _ mountPoint: FilePath?) {
        if let plan { record(plan) }
        fail(reason, about: mountPoint.map { .filesystem($0) })
    }

    private mutating func record(_ plan: FreezePlan) {
        request?.record.filesystems = plan.filesystems.map { FilesystemRecord($0) }
        request?.record.unreachable = plan.unreachable
    }

    /// The end of a dry run. Success would let a host take a snapshot of unfrozen filesystems, so FREEZE of such a host
    /// fails.
    private mutating func answerDryRun() {
        guard let request, let hooks = request.planned?.hooks else { return }
        self.request?.record.listedHooks = hooks.filter { $0.refusal == nil }.map(\.name)
        // The level is the best that a backup could reach.
        self.request?.failedHooks = hooks.filter { $0.refusal != nil }.map(\.name)
        guard let operation = request.freezeOperation,
            standIns.contains(request.channel) || rules(of: request.channel).tellsDryRun
        else {
            return fail("this quiesced is started with --dry-run, and freezes nothing for a real host")
        }
        state = .rehearsing
        _ = nextWork(for: request.windowLimit.duration)
        succeed(operation)
    }

    // MARK: Handing over

    /// When the filesystems are open and a freezer is ready.
    mutating func handOver() {
        guard state == .planning, request?.preparation == .awaitingFreezer, freezer == .ready else { return }
        request?.preparation = .handedOver
        // One limit for the whole preparation.
        let limit = deadline
        emit(.handOver(nextWork(for: nil)))
        deadline = limit
    }

    mutating func freezerPrepared() {
        guard state == .planning, request?.preparation == .handedOver, let request else { return }
        self.request?.preparation = .confirmed
        // Another agent flushes what it freezes.
        if !request.options.freezes { return startFreezeHooks() }
        flush(in: request.replans > 0 ? .flushingAgain : .flushing)
    }

    mutating func freezerRefused(_ error: Errno) {
        guard state == .planning, request?.preparation == .handedOver else { return }
        fail("the freezer could not get ready: \(error)")
    }

    mutating func handOverFailed(_ reason: String) {
        guard request?.preparation == .handedOver else { return }
        fail("the freezer cannot be given the request: \(reason)")
    }

    /// Waits for the successor of a freezer that was ready, within the limit for planning.
    mutating func freezerEndedWhilePlanning(_ how: String, wasReady: Bool) {
        guard wasReady else { return fail("the freezer ended (\(how))") }
        if request?.preparation == .handedOver { request?.preparation = .awaitingFreezer }
    }

    mutating func planningTimedOut() {
        let limit = DurationText.text(policy.planTimeout)
        switch request?.preparation {
        case .opening:
            fail("making the plan took longer than \(limit); a device or filesystem does not answer")
        case .awaitingFreezer:
            fail("no freezer was ready within \(limit)")
        case .handedOver:
            // The freezer does not answer, so no device is the cause.
            killFreezer()
            fail("the freezer does not answer; it is replaced")
        case .confirmed, nil: break
        }
    }
}
