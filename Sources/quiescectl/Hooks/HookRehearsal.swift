import Configuration
import FreezeCore
import Glibc
import Hooks
import LinuxCalls
import SystemPackage

/// One round of one hook: what a request does with it, without the freeze.
struct HookRehearsal {
    /// What came of it.
    struct Result: Sendable {
        let hook: Hook
        let requestID: RequestID
        /// In their order.
        let calls: [HookRun]
        let wasInterrupted: Bool

        /// A session hook without work is called once: it holds nothing until a thaw.
        var succeeded: Bool {
            let count = hook.kind == .session && calls.first?.outcome.isSkipped == true ? 1 : 2
            return !wasInterrupted && calls.count == count && calls.allSatisfy(\.outcome.succeeded)
        }
    }

    private struct State {
        var calls: [HookRun] = []
        var running: HookCall?
        var isCancelled = false
    }

    private let state = Monitor(State())
    private let hook: Hook
    private let requestID: RequestID
    private let plan: FreezePlan
    private let policy: RequestPolicy
    private let runner: HookRunner

    /// - Parameter plan: The filesystems for QUIESCE_MOUNTPOINTS.
    init(_ hook: Hook, _ configuration: Configuration, plan: FreezePlan) {
        self.hook = hook
        self.plan = plan
        requestID = RequestID("rehearsal-" + String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16))
        policy = RequestPolicy(configuration)
        runner = HookRunner(runDirectory: configuration.paths.run)
    }

    /// SIGINT, SIGTERM and SIGHUP cut freeze short; thaw follows all the same (P4), and is not to be interrupted.
    func perform() throws(Errno) -> Result {
        let interruption = try Interruption()
        interruption.onSignal { [state] in
            state.update { state in
                state.isCancelled = true
                state.running?.cancel()
            }
        }
        freeze()
        let outcome = state.update { $0.calls.first?.outcome }
        if hook.kind == .plain, let outcome, !outcome.isNotStarted {
            thaw(succeeded: outcome.succeeded && !interruption.hasHappened, didWork: outcome.didWork)
        }
        return Result(
            hook: hook, requestID: requestID, calls: state.update { $0.calls },
            wasInterrupted: interruption.hasHappened)
    }

    /// A session is released at READY. Returns after its end.
    private func freeze() {
        let isOver = Monitor(false)
        let call = runner.call(
            hook, context: context(.freeze),
            sessionEnded: { [state] run in
                state.update { $0.calls.append(run) }
                isOver.update { $0 = true }
            },
            completion: { [state, policy] run, session in
                state.update { $0.calls.append(run) }
                session?.release(within: policy.sessionReleaseTimeout)
                if session == nil { isOver.update { $0 = true } }
            })
        state.update { state in
            state.running = call
            if state.isCancelled { call?.cancel() }
        }
        _ = isOver.wait(until: nil) { $0 ? true : nil }
    }

    /// Tried as often as in a request.
    private func thaw(succeeded: Bool, didWork: Bool) {
        let best: ConsistencyLevel = didWork ? .application : .filesystem
        let level = plan.lowersLevel ? ConsistencyLevel.crash : best
        let context = context(.thaw, result: succeeded ? .ok : .failed, level: succeeded ? level : nil)
        for attempt in 1...policy.thawHookAttempts {
            let result = Monitor<HookRun?>(nil)
            runner.call(hook, context: context) { run, _ in result.update { $0 = run } }
            guard let run = result.wait(until: nil, { $0 }) else { continue }
            if run.outcome.isNotStarted, attempt < policy.thawHookAttempts {
                usleep(UInt32(policy.thawHookRetryPause.milliseconds * 1000))
                continue
            }
            return state.update { $0.calls.append(run) }
        }
    }

    /// As of a request, in which the hook has the whole time.
    private func context(
        _ phase: HookPhase, result: HookContext.Result? = nil, level: ConsistencyLevel? = nil
    ) -> HookContext {
        HookContext(
            requestID: requestID, channel: ChannelID(name: "rehearsal"), phase: phase, result: result,
            level: level,
            mountPoints: plan.filesystems(.freeze).filter(\.isInSight).map(\.mountPoint),
            timeout: min(hook.timeout ?? policy.hookTimeout, policy.hooksTotalTimeout))
    }
}
