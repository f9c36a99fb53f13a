import Configuration
import FreezeCore
import Hooks
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

    private let hook: Hook
    private let requestID: RequestID
    private let round: HookRound

    /// - Parameter plan: what the hook is told would be frozen.
    init(_ candidate: HookCandidate, _ configuration: Configuration, plan: FreezePlan) {
        var hook = candidate.hook
        // A failure is one whatever the configuration makes of it.
        hook.onFailure = .abort
        self.hook = hook
        requestID = RequestID("rehearsal-" + String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16))
        // Alone it has the whole budget.
        let policy = RequestPolicy(configuration)
        round = HookRound(
            [HookCandidate(hook: hook, verdict: candidate.verdict)],
            context: HookRound.Context(plan, requestID: requestID, channel: ChannelID(name: "rehearsal")),
            policy: policy, runner: HookRunner(runDirectory: configuration.paths.run))
    }

    /// SIGINT, SIGTERM and SIGHUP cut freeze short; thaw follows all the same (P4), and is not to be interrupted.
    func perform() throws(Errno) -> Result {
        let interruption = try Interruption()
        interruption.handle { [round] in round.cancel() }
        round.freeze()
        round.thaw(failure: interruption.hasHappened ? "it was interrupted" : nil)
        return Result(
            hook: hook, requestID: requestID, calls: round.calls, wasInterrupted: interruption.hasHappened)
    }
}

extension HookRound.Context {
    /// - Parameter plan: what hooks are told is frozen.
    init(_ plan: FreezePlan, requestID: RequestID, channel: ChannelID) {
        self.init(
            requestID: requestID, channel: channel,
            mountPoints: plan.filesystems(.freeze).filter(\.isInSight).map(\.mountPoint),
            level: plan.lowersLevel ? .crash : .application)
    }
}
