import FreezeCore
import Ledger
import LinuxCalls
import SystemPackage

/// One round of hooks without a freeze of ours: to rehearse them, and for other agents that freeze.
///
/// The rules are those of a request: freeze in order, thaw in reverse; what was started is called for thaw (P4); sessions
/// are held in between, and released before the first call for thaw.
public final class HookRound: Sendable {
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

    private struct State {
        var calls: [HookRun] = []
        var failure: String?
        var hooksOwedThaw: [Int] = []
        var sessions: [HeldSession] = []
        /// Sessions that have not ended.
        var heldSessions = 0
        var areSessionsReleased = false
        var hasRefused = false
        var runningCall: HookCall?
        var isCancelled = false
    }

    /// Every call, in order.
    public var calls: [HookRun] { state.update { $0.calls } }
    /// The first thing that went wrong, as a clause; nil while all is well.
    public var failure: String? { state.update { $0.failure } }

    private let state = Monitor(State())
    private let hooks: [HookCandidate]
    private let context: Context
    private let policy: RequestPolicy
    private let runner: HookRunner
    /// Where it is written down what is owed, for a crash.
    private let ledger: Ledger?

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

    /// Calls the hooks for freeze, up to the first that fails and matters; `thaw` has to follow in any case.
    public func freeze() {
        let deadline = Moment.now + policy.hooksTotalTimeout
        // As in a request: plain hooks first, so that none runs under the lock of a session.
        let order =
            hooks.indices.filter { hooks[$0].hook.kind == .plain }
            + hooks.indices.filter { hooks[$0].hook.kind == .session }
        for (index, candidate) in order.map({ ($0, hooks[$0]) }) where failure == nil {
            if isCancelled { return fail("it was interrupted") }
            if case .refused(let reason) = candidate.verdict {
                if endsRound(candidate) { fail("hook \(candidate.hook.name) is refused: \(reason)") }
                state.update { $0.hasRefused = true }
                continue
            }
            let timeout = min(timeout(of: candidate.hook), max(deadline - Moment.now, .zero))
            let run = start(index, candidate.hook, context(.freeze, timeout: timeout))
            state.update { $0.calls.append(run) }
            if let clause = run.outcome.failureClause, endsRound(candidate) {
                fail("hook \(run.name) \(clause)")
            }
        }
        if isCancelled { fail("it was interrupted") }
    }

    /// Ends the hook that `freeze` runs, and keeps it from calling another.
    public func cancel() {
        state.update { state in
            state.isCancelled = true
            state.runningCall?.cancel()
        }
    }

    private var isCancelled: Bool { state.update { $0.isCancelled } }

    private func start(_ index: Int, _ hook: Hook, _ context: HookContext) -> HookRun {
        // Before it runs: after a crash it is better called for thaw in vain than not at all.
        ledger?.setHookProgress(index, .started)
        let ledger = ledger
        let run = call(hook, context, isCancellable: true) { ledger?.setHookProcess(index, $0) }
        guard hook.kind == .plain else { return run }
        if case .notStarted = run.outcome {
            ledger?.setHookProgress(index, .notStarted)
        } else {
            state.update { $0.hooksOwedThaw.append(index) }
        }
        return run
    }

    /// Blocks until the hook has exited, or a session hook is ready.
    private func call(
        _ hook: Hook, _ context: HookContext, isCancellable: Bool = false,
        onStart: @escaping @Sendable (ProcessIdentity) -> Void = { _ in }
    ) -> HookRun {
        let result = Monitor<HookRun?>(nil)
        let call = runner.call(hook, context: context, onStart: onStart) { [self] run in
            ended(run)
        } completion: { [state] run, session in
            if let session {
                state.update {
                    $0.sessions.append(session)
                    $0.heldSessions += 1
                }
            }
            result.update { $0 = run }
        }
        if isCancellable {
            state.update { state in
                state.runningCall = call
                if state.isCancelled { call?.cancel() }
            }
        }
        while true {
            if let run = result.wait(until: nil, { $0 }) { return run }
        }
    }

    private func ended(_ run: HookRun) {
        state.update { state in
            state.calls.append(run)
            let clause = run.outcome.failureClause
            if !state.areSessionsReleased {
                let end = clause ?? "ended"
                state.failure =
                    state.failure ?? "hook \(run.name) \(end) before it was released, so what it held is lost"
            } else if let clause {
                state.failure =
                    state.failure
                    ?? "hook \(run.name) \(clause) when it was released, so what it held may have been lost"
            }
            state.heldSessions -= 1
        }
    }

    // MARK: Thaw

    /// Releases the sessions, all at once, and then calls the hooks that were started for thaw, the last one first.
    ///
    /// - Parameter failure: why the round has failed, for all that the caller knows.
    public func thaw(failure: String? = nil) {
        if let failure { fail(failure) }
        let sessions = state.update { state in
            state.areSessionsReleased = true
            return state.sessions
        }
        for session in sessions { session.release(within: policy.sessionReleaseTimeout) }
        while state.wait(until: nil, { $0.heldSessions == 0 ? true : nil }) == nil {}
        let deadline = Moment.now + policy.hooksTotalTimeout
        for index in state.update({ $0.hooksOwedThaw }).reversed() {
            let hook = hooks[index].hook
            let remaining = max(deadline - Moment.now, policy.minimumThawHookTimeout)
            callForThaw(index, hook, timeout: min(timeout(of: hook), remaining))
        }
        state.update { $0.hooksOwedThaw = [] }
    }

    private func callForThaw(_ index: Int, _ hook: Hook, timeout: Duration) {
        let context = context(.thaw, timeout: timeout)
        var run: HookRun
        var attempts = 0
        repeat {
            run = call(hook, context)
            attempts += 1
        } while run.isNotStarted && attempts < policy.thawHookAttempts
        state.update { [run] in $0.calls.append(run) }
        if !run.isNotStarted { ledger?.setHookProgress(index, .finished) }
    }

    /// Calls for thaw, as after a failure, what a round that was cut short has left.
    public func thawLeftovers(of ledger: Ledger) {
        fail("it was cut short")
        for index in ledger.hooksOwedThaw {
            guard let candidate = hooks.firstIndex(where: { $0.hook.name == ledger.hooks[index] }) else {
                continue
            }
            let hook = hooks[candidate].hook
            callForThaw(index, hook, timeout: timeout(of: hook))
        }
    }

    // MARK: Shared

    private func fail(_ reason: String) {
        state.update { $0.failure = $0.failure ?? reason }
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
        let hasRefused = state.update { $0.hasRefused }
        let isCovered = !hasRefused && outcomes.allSatisfy(\.succeeded) && outcomes.contains(where: \.didWork)
        return isCovered ? context.level : min(context.level, .filesystem)
    }
}

extension HookRun {
    fileprivate var isNotStarted: Bool {
        if case .notStarted = outcome { true } else { false }
    }
}
