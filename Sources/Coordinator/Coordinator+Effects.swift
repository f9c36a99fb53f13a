import Configuration
import FreezeCore
import FreezerProtocol
import History
import Hooks
import Ledger
import LinuxCalls
import LinuxSystem
import SystemPackage

/// What the state machine wants done, in the order in which a request meets it. Nothing here waits.
extension Coordinator {
    func perform(_ effects: [RequestEffect]) {
        for effect in effects { perform(effect) }
    }

    private func perform(_ effect: RequestEffect) {
        switch effect {
        case .recover: recover()
        case .openChannels: openChannels()
        case .assess: assess()
        case .prepare(let step, let id, let channel, _): prepare(step, id, channel)
        case .flush(let step): flush(step)
        case .runHook(let step, let index, let phase, let succeeded, let level, let timeout):
            runHook(step, index, phase, succeeded: succeeded, level: level, timeout: timeout)
        case .runLeftoverHook(let step, let name, let id, let channel, let timeout):
            runLeftoverHook(step, name, id, channel, timeout: timeout)
        case .cancelHook: resources?.runningHook?.cancel()
        case .checkMounts(let step): checkMounts(step)
        case .freeze(let level, let freezeDeadline, let windowDeadline):
            command(.freeze(level: level, freezeDeadline: freezeDeadline, windowDeadline: windowDeadline))
        case .answer(let channel, let operation, let verdict): channels[channel]?.answer(operation, verdict)
        case .thaw: command(.thaw)
        case .takeOverThaw: takeOverThaw()
        case .reopenChannels: for channel in channels.values { channel.reopen() }
        case .note(let note): log(note)
        case .record(let record): write(record)
        case .release: release()
        case .exit: isDone = true
        }
    }

    // MARK: Start

    private func recover() {
        let recovery = Recovery(runDirectory: runDirectory, me: me)
        let mailbox = mailbox
        blockingWork("recover") {
            do throws(RecoveryError) {
                guard let result = try recovery.run(.atStart) else { return mailbox.post(.event(.recovered(nil))) }
                mailbox.post(.leftover(result))
                result.watchStuck { mountPoint in mailbox.post(.leftoverSettled(mountPoint)) }
            } catch {
                // Serving is safer than not: the next FREEZE of such a filesystem fails with EBUSY, by name.
                mailbox.post(.note(ChannelNote(.error, "\(error)")))
                mailbox.post(.recovered(nil))
            }
        } orElse: { error in
            mailbox.post(.note(ChannelNote(.error, "no thread for recovery: \(error)")))
            mailbox.post(.recovered(nil))
        }
    }

    func recovered(_ result: RecoveryResult) {
        leftoverLedger = result.ledger
        for note in result.notes { log(note) }
        handle(.recovered(result.leftover))
    }

    /// A FREEZE that comes before the freezer is ready would only wait for it.
    private func openChannels() {
        areChannelsWanted = true
        if freezer.isReady { openWantedChannels() }
    }

    func openWantedChannels() {
        guard areChannelsWanted else { return }
        areChannelsWanted = false
        for channel in channels.values {
            do {
                try channel.start()
            } catch {
                log(ChannelNote(.error, "\(error)"))
            }
        }
    }

    /// HOT_BACKUP is answered with success whatever is found here; what would make a FREEZE fail now is said now.
    private func assess() {
        let mailbox = mailbox
        let policy = planPolicy
        let directory = configuration.hooks.directory
        let isFreezerReady = freezer.isReady
        blockingWork("assess") {
            func warn(_ text: String) {
                mailbox.post(.note(ChannelNote(.warning, "a FREEZE now would fail: \(text)")))
            }
            if !isFreezerReady { warn("the freezer is not running") }
            do throws(PreparationFailure) {
                let opened = try OpenedRequest.open(policy: policy, hookDirectory: directory)
                for hook in opened.plannedHooks {
                    if let refusal = hook.refusal { warn("hook \(hook.name) is refused: \(refusal)") }
                }
            } catch {
                warn(error.reason)
            }
        } orElse: { _ in
        }
    }

    // MARK: Planning

    private func prepare(_ step: StepID, _ id: RequestID, _ channel: ChannelID) {
        if resources == nil {
            resources = ActiveResources(requestID: id, channel: channel)
            for channel in channels.values { channel.holdOpening() }
        }
        // Planning again: the freezer holds the old plan's descriptors.
        if resources?.ledger != nil { command(.release) }
        resources?.awaitedPreparation = step
        let mailbox = mailbox
        let policy = planPolicy
        let directory = configuration.hooks.directory
        let hooks = resources?.opened?.hooks
        blockingWork("plan") {
            do throws(PreparationFailure) {
                let opened = try OpenedRequest.open(policy: policy, hookDirectory: directory, keeping: hooks)
                mailbox.post(.opened(step, .success(opened)))
            } catch {
                mailbox.post(.opened(step, .failure(error)))
            }
        } orElse: { error in
            mailbox.post(.opened(step, .failure(PreparationFailure(reason: "no thread: \(error)", plan: nil))))
        }
    }

    /// The first half of the preparation is done; the freezer's half follows.
    func take(_ step: StepID, _ result: Result<OpenedRequest, PreparationFailure>) {
        guard resources?.awaitedPreparation == step else { return }
        switch result {
        case .failure(let failure):
            resources?.awaitedPreparation = nil
            handle(.preparationFailed(step, reason: failure.reason, plan: failure.plan))
        case .success(let opened):
            resources?.opened = opened
            for note in opened.plan.notes { log(ChannelNote(.warning, note)) }
            if freezer.isReady { giveToFreezer() }
        }
    }

    /// Hands ledger and descriptors to the freezer, once it is there and the plan is.
    func giveToFreezer() {
        guard let resources, let opened = resources.opened, resources.awaitedPreparation != nil else { return }
        let targets = opened.freezeTargets
        do {
            let (ledger, ledgerDescriptor) = try runDirectory.createLedger(
                LedgerContents(
                    requestID: resources.requestID.text, channel: resources.channel.name, daemon: me,
                    superblocks: targets.map { target in
                        LedgerContents.Superblock(
                            device: target.filesystem.device, mountPoint: target.filesystem.mountPoint,
                            level: target.filesystem.level ?? 0)
                    }, hooks: opened.hooks.map(\.hook.name)))
            defer { try? ledgerDescriptor.close() }
            if let before = resources.ledger { ledger.takeHookProgress(from: before) }
            self.resources?.ledger = ledger
            try freezer.prepare(ledger: ledgerDescriptor, descriptors: targets.map(\.descriptor))
        } catch Errno.brokenPipe {
            // It has just died: its successor is given the request.
        } catch {
            preparationFailed("the freezer cannot be given the request: \(error)")
        }
    }

    func freezerIsPrepared() {
        guard let step = resources?.awaitedPreparation, let opened = resources?.opened else { return }
        resources?.awaitedPreparation = nil
        handle(.prepared(step, PreparedRequest(plan: opened.plan, hooks: opened.plannedHooks)))
    }

    func preparationFailed(_ reason: String) {
        guard let step = resources?.awaitedPreparation else { return }
        resources?.awaitedPreparation = nil
        handle(.preparationFailed(step, reason: reason, plan: resources?.opened?.plan))
    }

    // MARK: Flushing

    private func flush(_ step: StepID) {
        guard let opened = resources?.opened else { return }
        let mailbox = mailbox
        FlushJob.start(opened) { result in
            mailbox.post(.flushed(step, result))
        } finished: {
            mailbox.post(.flushFinished(step))
        }
    }

    // MARK: Hooks

    private func runHook(
        _ step: StepID, _ index: Int, _ phase: HookPhase, succeeded: Bool, level: ConsistencyLevel?,
        timeout: Duration
    ) {
        guard let resources, let opened = resources.opened, let ledger = resources.ledger else { return }
        let context = HookContext(
            requestID: resources.requestID, channel: resources.channel, phase: phase,
            result: phase == .thaw ? (succeeded ? .ok : .failed) : nil,
            level: level ?? (succeeded ? .application : .crash),
            mountPoints: opened.freezeTargets.map(\.filesystem.mountPoint), timeout: timeout)
        let hook = opened.hooks[index].hook
        // Before it runs: after a crash it is better called for thaw in vain than not at all.
        if phase == .freeze { ledger.setHookProgress(index, .started) }
        let mailbox = mailbox
        let runner = hookRunner
        self.resources?.runningHook = Task.detached {
            let run = await runner.run(hook, context: context)
            if phase == .thaw { ledger.setHookProgress(index, .finished) }
            if case .notStarted = run.outcome, phase == .freeze { ledger.setHookProgress(index, .notStarted) }
            mailbox.post(.hookFinished(step, run))
        }
    }

    private func runLeftoverHook(
        _ step: StepID, _ name: String, _ id: RequestID, _ channel: ChannelID, timeout: Duration
    ) {
        let ledger = leftoverLedger
        let context = HookContext(
            requestID: id, channel: channel, phase: .thaw, result: .failed, level: .crash, mountPoints: [],
            timeout: timeout)
        let hook = Hook(name: name, path: configuration.hooks.directory.appending(name), kind: .plain)
        let mailbox = mailbox
        let runner = hookRunner
        Task.detached {
            let run = await runner.run(hook, context: context)
            if let ledger, let index = ledger.hooks.firstIndex(of: name) {
                ledger.setHookProgress(index, .finished)
            }
            mailbox.post(.hookFinished(step, run))
        }
    }

    // MARK: The window

    private func checkMounts(_ step: StepID) {
        guard let resources, let opened = resources.opened, let ledger = resources.ledger else { return }
        let mailbox = mailbox
        let policy = planPolicy
        let allFrozen = freezer.process.map { ledger.allFrozen(by: $0.identity) } ?? false
        // The usual case costs one poll.
        guard opened.mountWatch.hasChanged() else {
            return mailbox.post(.mountsChecked(step, change: nil, allFrozen: allFrozen))
        }
        blockingWork("mounts") {
            var change: String?
            do {
                change = opened.plan.relevantChange(in: try opened.mountWatch.read(), policy: policy)
            } catch {
                change = "\(error)"
            }
            mailbox.post(.mountsChecked(step, change: change, allFrozen: allFrozen))
        } orElse: { error in
            mailbox.post(.mountsChecked(step, change: "no thread to read it: \(error)", allFrozen: allFrozen))
        }
    }

    /// A command that does not reach the freezer needs no answer: its end, or its silence, is noticed.
    private func command(_ command: FreezerCommand) {
        try? freezer.send(command)
    }

    /// The freezer is dead, or will be: a FIFREEZE of it that hangs keeps its process, so each superblock has a
    /// thread that tries until that is gone.
    private func takeOverThaw() {
        guard let resources, let opened = resources.opened, let ledger = resources.ledger else { return }
        freezer.kill()
        let thaw = OrphanThaw(ledger: ledger, me: me, freezer: ledger.freezer?.handle)
        let mailbox = mailbox
        for (index, target) in opened.freezeTargets.enumerated() {
            blockingWork("thaw \(index)") {
                let started = Moment.now
                let outcome = thaw.thaw(
                    index, through: target.descriptor, until: started + .seconds(1_000_000_000))
                withExtendedLifetime(opened) {}
                let result = TimedResult(error: outcome.error, started: started, ended: Moment.now)
                mailbox.post(.thawedInPlace(resources.requestID, index, result))
            } orElse: { error in
                mailbox.post(.note(ChannelNote(.error, "no thread to thaw with: \(error)")))
            }
        }
    }

    // MARK: End

    private func write(_ record: RequestRecord) {
        let history = HistoryFile(inStateDirectory: configuration.paths.state)
        let written = HistoryRecord(record, clock: .current())
        let mailbox = mailbox
        log(ChannelNote(summary: record))
        historyWriter.add {
            do {
                try history.append(written)
            } catch {
                mailbox.post(.note(ChannelNote(.error, "\(error)")))
            }
        }
    }

    private func release() {
        resources = nil
        leftoverLedger = nil
        command(.release)
        runDirectory.removeLedger()
    }

    // MARK: Threads

    private func blockingWork(
        _ name: String, _ work: @escaping @Sendable () -> Void, orElse failed: (Errno) -> Void
    ) {
        do throws(Errno) {
            try OperatingSystemThread.start(name, work)
        } catch {
            failed(error)
        }
    }
}

extension ThawOutcome {
    /// As FITHAW would have said it.
    fileprivate var error: Errno? {
        switch self {
        case .thawed, .nothingToDo: nil
        case .thawedBySomebodyElse: .invalidArgument
        case .failed(let error): error
        case .unfinished: .resourceBusy
        }
    }
}
