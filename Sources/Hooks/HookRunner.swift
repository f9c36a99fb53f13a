import FreezeCore
import LinuxCalls
import SystemPackage

/// Calls hooks.
public struct HookRunner: Sendable {
    let runDirectory: FilePath

    /// - Parameter runDirectory: The directory for lists of mount points that are too long for the environment; 0700, on
    ///   a tmpfs.
    public init(runDirectory: FilePath) {
        self.runDirectory = runDirectory
    }

    /// Removes files of calls of the previous instance from the run directory. Call before the first hook.
    public func removeLeftovers() {
        HookEnvironment.removeLeftovers(in: runDirectory)
    }

    /// Calls a hook, on a thread of its own. Returns at once.
    ///
    /// At the timeout, and at a cancellation, the hook's process group gets SIGTERM and, 2 s later, SIGKILL; a hook that
    /// survives 2 s more is abandoned. A cancelled call reports the end of the hook: `.signalled`, `.exited` if the hook
    /// handled SIGTERM, or `.timedOut(abandoned: true)`. The caller does not count a cancelled call as a success.
    ///
    /// The hook's trust is checked again right before the start. `.notStarted` has the reason if the start fails. A hook
    /// on a dead disk is never started after the timeout or a cancellation, also when the disk comes back.
    /// `.exited(-1)` means that the hook ran, and its status is lost.
    ///
    /// A session hook is held from READY until the session is released.
    ///
    /// - Parameters:
    ///   - onStart: Called with the hook's process, before the supervision begins.
    ///   - sessionEnded: Called with the end of a held session, after its release or before. The duration counts from the
    ///     release.
    ///   - completion: Called exactly once: when the hook has exited, a few seconds after the timeout, or when a session
    ///     hook is ready (`.ready`), then with the session to hold. Called on the thread of the call; if no thread can be
    ///     started, before the function returns.
    /// - Returns: The call; nil if the call has ended.
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
