import FreezeCore
import LinuxCalls
import SystemPackage

/// Calls hooks.
public struct HookRunner: Sendable {
    let runDirectory: FilePath

    /// - Parameter runDirectory: Where a list of mount points too long for the environment is put; 0700, on a
    ///   tmpfs.
    public init(runDirectory: FilePath) {
        self.runDirectory = runDirectory
    }

    /// Removes what the calls of an earlier life have left in the run directory. Before the first call.
    public func removeLeftovers() {
        HookEnvironment.removeLeftovers(in: runDirectory)
    }

    /// Calls a hook, on a thread of its own. Returns at once.
    ///
    /// At the timeout, and at a cancellation, the hook's process group is sent TERM and, 2 s later, KILL; what is not gone
    /// after 2 s more is abandoned. A cancelled call is reported as it ended (`.signalled`, or `.exited` if the hook made
    /// something of TERM; `.timedOut(abandoned: true)` if it survived): the caller, who cancelled it, takes it for no
    /// success.
    ///
    /// The hook's trust is checked again right before the start. Whatever prevents the start is `.notStarted`; a hook on a
    /// disk that does not answer is not started after its timeout, and not after a cancellation, however long the disk
    /// takes. `.exited(-1)` means that it ran and its status was lost.
    ///
    /// A session hook is held from the moment in which it has said READY until its session is released.
    ///
    /// - Parameters:
    ///   - onStart: Told the hook's process before it is supervised.
    ///   - sessionEnded: How a session that was held has ended, once it has: released, or before that. Its time runs from
    ///     the release.
    ///   - completion: Called exactly once: when the hook has exited, a few seconds after its time is up, or when a session
    ///     hook is ready (`.ready`); with its session then, to be held on to. Called on the call's thread; without a thread
    ///     to be had, before this returns.
    /// - Returns: The call; nil if it is over.
    @discardableResult
    public func call(
        _ hook: Hook, context: HookContext, onStart: @escaping @Sendable (ProcessIdentity) -> Void = { _ in },
        sessionEnded: @escaping @Sendable (HookRun) -> Void = { _ in },
        completion: @escaping @Sendable (HookRun, HeldSession?) -> Void
    ) -> HookCall? {
        func fail(_ reason: String) {
            let run = HookRun(
                name: hook.name, phase: context.phase, outcome: .notStarted(reason: reason), output: "",
                isOutputTruncated: false, started: .now, duration: .zero)
            completion(run, nil)
        }
        guard context.timeout > .zero else {
            fail("no time was left for it. Raise hooks.total_timeout, or speed up the hooks before it")
            return nil
        }
        do throws(Errno) {
            let call = try HookCall(
                hook, context, runDirectory: runDirectory, onStart: onStart, completion: completion,
                sessionEnded: sessionEnded)
            try OperatingSystemThread.start("hook") { call.perform() }
            return call
        } catch {
            fail("no thread or event descriptor for it: \(error)")
            return nil
        }
    }
}
