import SystemPackage

/// How far a request is prepared, in the state `planning`.
enum Preparation: Hashable, Sendable {
    /// The plan is made, and the filesystems of the plan are opened.
    case opening
    /// A freezer that can take the filesystems is awaited.
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
        _ channel: ChannelID, _ operation: OperationID, _ id: RequestID, _ options: FreezeOptions, received: Moment
    ) {
        debts[channel] = nil
        var options = options
        // The host behind a stand-in takes no snapshots.
        if standIns.contains(channel) { options.isRehearsal = true }
        var new = ActiveRequest(
            id: id, channel: channel, maxWindow: maxWindow(of: channel, options),
            freezeOperation: operation, hooksDeadline: now,
            record: RequestRecord(id: id, channel: channel, started: received))
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

    private func maxWindow(of channel: ChannelID, _ options: FreezeOptions) -> Duration {
        let limits = [policy.maxWindow, rules(of: channel).maxWindow, options.window].compactMap(\.self)
        return limits.min() ?? policy.maxWindow
    }

    /// Something changed since the last plan. The hooks that have run stay the hooks of the request.
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
        // The hooks that have run are named by their place in the first list, for thaw too.
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
        if policy.isDryRun { return rehearse() }
        request?.preparation = .awaitingFreezer
        handOver()
    }

    mutating func openingFailed(_ reason: String, _ plan: FreezePlan?, _ mountPoint: FilePath?) {
        if let plan { record(plan) }
        fail(reason, about: mountPoint.map { .filesystem($0) })
    }

    private mutating func record(_ plan: FreezePlan) {
        request?.record.filesystems = plan.filesystems.map(FilesystemRecord.init(planned:))
        request?.record.unreachable = plan.unreachable
    }

    /// A dry run ends here: all that can be found out without a hook or a freeze is found out. A host that takes
    /// snapshots must not be told that it may.
    private mutating func rehearse() {
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
        _ = nextWork(for: request.maxWindow)
        succeed(operation)
    }

    // MARK: Handing over

    /// As soon as the filesystems are open and a freezer is ready.
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

    /// The successor of a freezer that worked is awaited, for as long as planning may take.
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
            // The freezer stands still: no device is to blame.
            killFreezer()
            fail("the freezer does not answer; it is replaced")
        case .confirmed, nil: break
        }
    }
}
