import Configuration
import FreezeCore
import FreezerProtocol
import Hooks
import LinuxCalls
import LinuxSystem
import SystemPackage

/// While applications still run: planning, opening, flushing, hooks.
extension Coordinator {
    /// HOT_BACKUP is answered with success whatever is found here; what would make a FREEZE fail now is said now.
    func assess(isFreezerReady: Bool) {
        guard assessment.begin() else { return }
        let mailbox = mailbox
        let policy = planPolicy
        let hookSources = hookSources
        let assessment = assessment
        blockingWork("assess") {
            defer { assessment.end() }
            func warn(_ text: String) {
                mailbox.post(.note(LogNote(.warning, "a FREEZE now would fail: \(text)")))
            }
            if !isFreezerReady { warn("the freezer is not running") }
            do throws(PreparationFailure) {
                let opened = try OpenedRequest.open(
                    policy: policy, hookSources: hookSources, isWanted: { !assessment.isCancelled })
                for hook in opened.plannedHooks {
                    if let refusal = hook.refusal { warn("hook \(hook.name) is refused: \(refusal)") }
                }
            } catch {
                if !assessment.isCancelled { warn(error.reason) }
            }
        } orElse: { _ in
            assessment.end()
        }
    }

    func open(_ work: WorkID, _ id: RequestID, _ channel: ChannelID, _ options: FreezeOptions) {
        resources = ActiveResources(requestID: id, channel: channel, options: options)
        for channel in channels { channel.holdOpening() }
        assessment.cancel()
        startOpening(work, keeping: nil)
    }

    func openAgain(_ work: WorkID) {
        resources?.opened = nil
        startOpening(work, keeping: resources?.hooks)
    }

    /// - Parameter hooks: The hooks of the request's first plan; nil to look for them.
    private func startOpening(_ work: WorkID, keeping hooks: [HookCandidate]?) {
        let mailbox = mailbox
        guard let options = resources?.options else { return }
        var policy = planPolicy
        policy.selection = options.mountPoints
        let hookSources = hookSources
        blockingWork("plan") { [policy] in
            do throws(PreparationFailure) {
                let opened = try OpenedRequest.open(
                    policy: policy, freezes: options.freezes, hookSources: hookSources, keeping: hooks)
                mailbox.post(.opened(work, .success(opened)))
            } catch {
                mailbox.post(.opened(work, .failure(error)))
            }
        } orElse: { error in
            mailbox.post(.opened(work, .failure(PreparationFailure(reason: "no thread: \(error)", plan: nil))))
        }
    }

    /// A result that the machine no longer awaits is closed when it is dropped.
    func opened(_ work: WorkID, _ result: Result<OpenedRequest, PreparationFailure>) {
        guard machine.isAwaited(work) else { return }
        switch result {
        case .failure(let failure):
            handle(.openingFailed(work, reason: failure.reason, plan: failure.plan, failure.mountPoint))
        case .success(let opened):
            resources?.opened = opened
            resources?.hooks = opened.hooks
            resources?.mountPoints = opened.ownMountPoints
            handle(.opened(work, PlannedRequest(plan: opened.plan, hooks: opened.plannedHooks)))
        }
    }

    /// Writes the ledger, and gives it to the freezer with the descriptors.
    func handOver(_ work: WorkID) {
        guard let resources, let opened = resources.opened else { return }
        let targets = opened.freezeTargets
        do {
            let (ledger, ledgerDescriptor) = try runDirectory.createLedger(
                LedgerContents(
                    requestID: resources.requestID.text, channel: resources.channel.name,
                    options: resources.options, daemon: me,
                    superblocks: targets.map { opened in
                        let filesystem = opened.target.filesystem
                        return LedgerContents.Superblock(
                            device: filesystem.device, mountPoint: filesystem.mountPoint,
                            step: filesystem.step ?? 0, life: opened.life)
                    }, hooks: opened.hooks.map(\.hook.name), replacing: resources.ledger))
            defer { try? ledgerDescriptor.close() }
            self.resources?.ledger = ledger
            try freezer.prepare(ledger: ledgerDescriptor, descriptors: targets.map(\.target.descriptor))
        } catch Errno.brokenPipe {
            // The freezer has just ended, which is noticed next.
        } catch {
            mailbox.post(.handOverFailed(work, reason: "\(error)"))
        }
    }

    // MARK: Flushing

    /// Does not block: procfs is on no disk, and the kernel reads counters (fs/proc/meminfo.c: `meminfo_proc_show`).
    var unwrittenMemory: DirtyMemory? {
        guard let bytes = try? readWholeFile("/proc/meminfo") else { return nil }
        return DirtyMemory(meminfo: String(decoding: bytes, as: UTF8.self))
    }

    func readMemory() {
        if let memory = unwrittenMemory { mailbox.post(.memoryRead(memory)) }
    }

    func flush(_ work: WorkID, _ filesystems: [PlannedFilesystem]) {
        guard let opened = resources?.opened else { return }
        let mailbox = mailbox
        FlushJob.start(filesystems, in: opened) { device, result in
            mailbox.post(.flushed(work, device, result))
        } takeNote: { text in
            mailbox.post(.note(LogNote(.warning, text)))
        }
    }

    /// Searches on a separate thread, during a flush, or after a window that left a filesystem stuck.
    func findWriteHolders(_ work: WorkID, on filesystems: [PlannedFilesystem]) {
        let mailbox = mailbox
        // Shorter than the machine's own limit: findings arrive while the machine still waits.
        let limit = Moment.now + machine.policy.writeHolderPatience / 4 * 3
        blockingWork("writers") {
            let findings = WriteHolderScan().findings(on: filesystems, until: limit)
            if !findings.isComplete {
                mailbox.post(
                    .note(
                        LogNote(
                            .warning, "the search for processes that sleep in a write is incomplete")
                    ))
            }
            mailbox.post(.writeHoldersFound(work, findings.holders))
        } orElse: { error in
            log(LogNote(.warning, "no thread to search for processes that sleep in a write: \(error)"))
            mailbox.post(.writeHoldersFound(work, []))
        }
    }

    // MARK: Hooks

    func runHook(
        _ work: WorkID, _ index: Int, _ phase: HookPhase, succeeded: Bool, level: ConsistencyLevel?,
        timeout: Duration
    ) {
        // A plan that could not be made again leaves nothing open, but what was started is owed its thaw all the same.
        guard let resources, let ledger = resources.ledger, resources.hooks.indices.contains(index) else { return }
        let context = HookContext(
            of: resources, phase, result: phase == .thaw ? (succeeded ? .ok : .failed) : nil, level: level,
            timeout: timeout)
        let hook = resources.hooks[index].hook
        // Before it runs: after a crash it is better called for thaw in vain than not at all.
        if phase == .freeze { ledger.setHookProgress(index, .started) }
        self.resources?.runningHook = call(hook, context, work, ledger, index)
    }

    func startSession(_ work: WorkID, _ index: Int, timeout: Duration) {
        guard let resources, let ledger = resources.ledger, resources.hooks.indices.contains(index) else { return }
        let context = HookContext(of: resources, .freeze, result: nil, level: nil, timeout: timeout)
        let hook = resources.hooks[index].hook
        ledger.setHookProgress(index, .started)
        let mailbox = mailbox
        // After a crash the hook ends with its standard input, or is ended by the next instance.
        self.resources?.runningHook = hookRunner.call(hook, context: context) { process in
            ledger.setHookProcess(index, process)
        } sessionEnded: { run in
            mailbox.post(.sessionEnded(context.requestID, index: index, run))
        } completion: { run, session in
            // From here on only the coordinator holds it.
            mailbox.post(.sessionStarted(work, index: index, run, session))
        }
    }

    /// Calls a plain hook, and writes into the ledger what is still owed to it afterwards.
    @discardableResult
    func call(
        _ hook: Hook, _ context: HookContext, _ work: WorkID, _ ledger: Ledger?, _ index: Int?
    ) -> HookCall? {
        let mailbox = mailbox
        return hookRunner.call(hook, context: context) { process in
            // After a crash the next instance ends the hook.
            if let index { ledger?.setHookProcess(index, process) }
        } completion: { run, _ in
            if let ledger, let index {
                switch (context.phase, run.outcome) {
                case (.freeze, .notStarted): ledger.setHookProgress(index, .notStarted)
                // It is still owed its thaw.
                case (.thaw, .notStarted): break
                case (.thaw, _): ledger.setHookProgress(index, .finished)
                case (.freeze, _): break
                }
            }
            mailbox.post(.hookFinished(work, run))
        }
    }
}

extension HookContext {
    fileprivate init(
        of resources: ActiveResources, _ phase: HookPhase, result: Result?, level: ConsistencyLevel?,
        timeout: Duration
    ) {
        self.init(
            requestID: resources.requestID, channel: resources.channel, phase: phase, result: result, level: level,
            mountPoints: resources.mountPoints, timeout: timeout)
    }
}
