import FreezeCore
import Ledger
import LinuxCalls
import SystemPackage

/// One round of hooks without a freeze of ours: to rehearse them, and for other agents that freeze.
///
/// The rules are those of a request: freeze in order, thaw in reverse; what was started is called for thaw (P4); sessions
/// are held in between, and released before the first call for thaw.
public actor HookRound {
    /// What the calls have in common.
    public struct Context: Sendable {
        let requestID: RequestID
        let channel: ChannelID
        let mountPoints: [FilePath]
        /// The best that the plan allows.
        let level: ConsistencyLevel

        public init(
            requestID: RequestID, channel: ChannelID, mountPoints: [FilePath], level: ConsistencyLevel
        ) {
            self.requestID = requestID
            self.channel = channel
            self.mountPoints = mountPoints
            self.level = level
        }
    }

    /// Every call, in order.
    public private(set) var calls: [HookRun] = []
    /// The first thing that went wrong, as a clause; nil while all is well.
    public private(set) var failure: String?

    private let hooks: [HookCandidate]
    private let context: Context
    private let policy: RequestPolicy
    private let runner: HookRunner
    /// Where it is written down what is owed, for a crash.
    private let ledger: Ledger?
    private var hooksOwedThaw: [Int] = []
    private var sessions: [(session: HeldSession, end: Task<Void, Never>)] = []
    private var areSessionsReleased = false
    private var hasRefused = false

    public init(
        _ hooks: [HookCandidate], context: Context, policy: RequestPolicy, runner: HookRunner,
        ledger: Ledger? = nil
    ) {
        self.hooks = hooks
        self.context = context
        self.policy = policy
        self.runner = runner
        self.ledger = ledger
    }

    // MARK: Freeze

    /// Calls the hooks for freeze, up to the first that fails and matters; `thaw` has to follow in any case. A task that
    /// is cancelled ends the hook that runs.
    public func freeze() async {
        let deadline = Moment.now + policy.hooksTotalTimeout
        // As in a request: plain hooks first, so that none runs under the lock of a session.
        let order =
            hooks.indices.filter { hooks[$0].hook.kind == .plain }
            + hooks.indices.filter { hooks[$0].hook.kind == .session }
        for (index, candidate) in order.map({ ($0, hooks[$0]) }) where failure == nil {
            if Task.isCancelled { return fail("it was interrupted") }
            if case .refused(let reason) = candidate.verdict {
                if endsRound(candidate) { fail("hook \(candidate.hook.name) is refused: \(reason)") }
                hasRefused = true
                continue
            }
            let timeout = min(timeout(of: candidate.hook), max(deadline - Moment.now, .zero))
            let run = await start(index, candidate.hook, context(.freeze, timeout: timeout))
            calls.append(run)
            if let clause = run.outcome.failureClause, endsRound(candidate) {
                fail("hook \(run.name) \(clause)")
            }
        }
        if Task.isCancelled { fail("it was interrupted") }
    }

    private func start(_ index: Int, _ hook: Hook, _ context: HookContext) async -> HookRun {
        // Before it runs: after a crash it is better called for thaw in vain than not at all.
        ledger?.setHookProgress(index, .started)
        let ledger = ledger
        let onStart: @Sendable (ProcessIdentity) -> Void = { ledger?.setHookProcess(index, $0) }
        guard hook.kind == .plain else { return await startSession(hook, context, onStart) }
        let run = await runner.run(hook, context: context, onStart: onStart)
        if case .notStarted = run.outcome {
            ledger?.setHookProgress(index, .notStarted)
        } else {
            hooksOwedThaw.append(index)
        }
        return run
    }

    private func startSession(
        _ hook: Hook, _ context: HookContext, _ onStart: @escaping @Sendable (ProcessIdentity) -> Void
    ) async -> HookRun {
        let (run, session) = await runner.start(hook, context: context, onStart: onStart)
        if let session {
            let end = session.end
            sessions.append((session, Task { ended(await end()) }))
        }
        return run
    }

    private func ended(_ run: HookRun) {
        calls.append(run)
        let clause = run.outcome.failureClause
        if !areSessionsReleased {
            fail("hook \(run.name) \(clause ?? "ended") before it was released, so what it held is lost")
        } else if let clause {
            fail("hook \(run.name) \(clause) when it was released, so what it held may have been lost")
        }
    }

    // MARK: Thaw

    /// Releases the sessions, all at once, and then calls the hooks that were started for thaw, the last one first.
    ///
    /// - Parameter failure: why the round has failed, for all that the caller knows.
    public func thaw(failure: String? = nil) async {
        if let failure { fail(failure) }
        areSessionsReleased = true
        for (session, _) in sessions { session.release(within: policy.sessionReleaseTimeout) }
        for (_, end) in sessions { await end.value }
        let deadline = Moment.now + policy.hooksTotalTimeout
        for index in hooksOwedThaw.reversed() {
            let hook = hooks[index].hook
            let remaining = max(deadline - Moment.now, policy.minimumThawHookTimeout)
            await callForThaw(index, hook, timeout: min(timeout(of: hook), remaining))
        }
        hooksOwedThaw = []
    }

    private func callForThaw(_ index: Int, _ hook: Hook, timeout: Duration) async {
        let context = context(.thaw, timeout: timeout)
        var run: HookRun
        var attempts = 0
        repeat {
            run = await runner.run(hook, context: context)
            attempts += 1
        } while run.isNotStarted && attempts < policy.thawHookAttempts
        calls.append(run)
        if !run.isNotStarted { ledger?.setHookProgress(index, .finished) }
    }

    /// Calls for thaw, as after a failure, what a round that was cut short has left.
    public func thawLeftovers(of ledger: Ledger) async {
        fail("it was cut short")
        for index in ledger.hooksOwedThaw {
            guard let candidate = hooks.firstIndex(where: { $0.hook.name == ledger.hooks[index] }) else {
                continue
            }
            let hook = hooks[candidate].hook
            await callForThaw(index, hook, timeout: timeout(of: hook))
        }
    }

    // MARK: Shared

    private func fail(_ reason: String) {
        if failure == nil { failure = reason }
    }

    private func endsRound(_ candidate: HookCandidate) -> Bool {
        (candidate.hook.onFailure ?? policy.onHookFailure) == .abort
    }

    private func timeout(of hook: Hook) -> Duration { hook.timeout ?? policy.hookTimeout }

    private func context(_ phase: HookPhase, timeout: Duration) -> HookContext {
        HookContext(
            requestID: context.requestID, channel: context.channel, phase: phase,
            result: phase == .thaw ? (failure == nil ? .ok : .failed) : nil,
            level: failure == nil ? level : nil, mountPoints: context.mountPoints, timeout: timeout)
    }

    /// As of a request.
    private var level: ConsistencyLevel {
        let outcomes = calls.filter { $0.phase == .freeze }.map(\.outcome)
        let isCovered = !hasRefused && outcomes.allSatisfy(\.succeeded) && outcomes.contains(where: \.didWork)
        return isCovered ? context.level : min(context.level, .filesystem)
    }
}

extension HookRun {
    fileprivate var isNotStarted: Bool {
        if case .notStarted = outcome { true } else { false }
    }
}
