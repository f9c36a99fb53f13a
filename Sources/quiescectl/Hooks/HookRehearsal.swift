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

        var succeeded: Bool { !wasInterrupted && calls.count == 2 && calls.allSatisfy(\.outcome.succeeded) }
    }

    /// As a request does when a hook cannot be started for thaw.
    private static let thawAttempts = 3

    private let hook: Hook
    private let runner: HookRunner
    private let requestID: RequestID
    private let timeout: Duration
    private let mountPoints: [FilePath]
    private let level: ConsistencyLevel

    /// - Parameter plan: what the hook is told would be frozen.
    init(_ hook: Hook, _ configuration: Configuration, plan: FreezePlan) {
        self.hook = hook
        runner = HookRunner(runDirectory: configuration.paths.run)
        requestID = RequestID("rehearsal-" + String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16))
        timeout = min(configuration.hooks.timeout, configuration.hooks.totalTimeout)
        mountPoints = plan.filesystems(.freeze).map(\.mountPoint)
        level = plan.loweringLevel.isEmpty ? .application : .crash
    }

    /// SIGINT, SIGTERM and SIGHUP cut freeze short; thaw follows all the same (P4), and is not to be interrupted.
    func perform() async -> Result {
        HookRunner.prepareProcess()
        let interruption = Interruption()
        if hook.kind == .session { return await performSession(interruption) }
        let freezing = Task { await runner.run(hook, context: context(.freeze, isOK: true)) }
        interruption.handle { freezing.cancel() }
        let freeze = await freezing.value
        // What never ran has nothing to undo.
        if case .notStarted = freeze.outcome { return result([freeze], interruption) }
        var thaw: HookRun
        var attempts = 0
        repeat {
            let isOK = freeze.outcome.succeeded && !interruption.hasHappened
            thaw = await runner.run(hook, context: context(.thaw, isOK: isOK))
            attempts += 1
        } while thaw.wasNotStarted && attempts < Self.thawAttempts
        return result([freeze, thaw], interruption)
    }

    /// It is released as soon as it is ready.
    private func performSession(_ interruption: Interruption) async -> Result {
        let starting = Task { await runner.start(hook, context: context(.freeze, isOK: true)) }
        interruption.handle { starting.cancel() }
        let (start, session) = await starting.value
        guard let session else { return result([start], interruption) }
        session.release(within: RequestPolicy().sessionReleaseTimeout)
        return result([start, await session.end()], interruption)
    }

    private func result(_ calls: [HookRun], _ interruption: Interruption) -> Result {
        Result(hook: hook, requestID: requestID, calls: calls, wasInterrupted: interruption.hasHappened)
    }

    private func context(_ phase: HookPhase, isOK: Bool) -> HookContext {
        HookContext(
            requestID: requestID, channel: ChannelID(name: "rehearsal"), phase: phase,
            result: phase == .thaw ? (isOK ? .ok : .failed) : nil, level: isOK ? level : nil,
            mountPoints: mountPoints, timeout: timeout)
    }
}

extension HookRun {
    fileprivate var wasNotStarted: Bool {
        if case .notStarted = outcome { true } else { false }
    }
}
