import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Runs hooks.
public struct HookRunner: Sendable {
    let runDirectory: FilePath

    /// - Parameter runDirectory: Where a list of mount points too long for the environment is put; 0700, on a
    ///   tmpfs.
    public init(runDirectory: FilePath) {
        self.runDirectory = runDirectory
    }

    /// Sets the process's file mode creation mask to 022, which hooks inherit. To be called once, at the start
    /// of the program, before there are threads: the mask belongs to the whole process (umask(2)) and
    /// swift-subprocess cannot set it for the child alone.
    public static func prepareProcess() {
        umask(0o022)
    }

    /// Removes what the calls of an earlier life have left in the run directory. Before the first call.
    public func removeLeftovers() {
        HookEnvironment.removeLeftovers(in: runDirectory)
    }

    /// Runs one call of a hook and returns when it is over: when the hook has exited, or a few seconds after
    /// its time is up.
    ///
    /// At the timeout, and when the task is cancelled, the hook's process group is sent TERM and, 2 s later,
    /// KILL; what is not gone after 2 s more is abandoned. A cancelled call is reported as it ended
    /// (`.signalled`, or `.exited` if the hook made something of TERM; `.timedOut(abandoned: true)` if it
    /// survived): the caller, who cancelled it, takes it for no success.
    ///
    /// The hook's trust is checked again right before the start. Whatever prevents the start is `.notStarted`.
    /// `.exited(-1)` means that it ran and its status was lost. Nothing here blocks the cooperative pool (P9).
    ///
    /// - Parameter onStart: Told the hook's process, before anything else is done with it.
    public func run(
        _ hook: Hook, context: HookContext, onStart: @escaping @Sendable (ProcessIdentity) -> Void = { _ in }
    ) async -> HookRun {
        await perform(hook, context, onStart).run
    }

    /// Starts a session hook and returns when it has said READY, or has failed to: as ``run(_:context:onStart:)`` does,
    /// whose limits hold until then. From then on it runs until it is released.
    ///
    /// - Returns: How it started. The session if that was well (`.ready`): to be held on to.
    public func start(
        _ hook: Hook, context: HookContext, onStart: @escaping @Sendable (ProcessIdentity) -> Void = { _ in }
    ) async -> (run: HookRun, session: HeldSession?) {
        let answer = await perform(hook, context, onStart)
        return (answer.run, answer.session)
    }

    private func perform(
        _ hook: Hook, _ context: HookContext, _ onStart: @escaping @Sendable (ProcessIdentity) -> Void
    ) async -> HookCall.Answer {
        let started = Moment.now
        let call: HookCall
        do throws(Errno) {
            call = HookCall(
                hook: hook, context: context, runDirectory: runDirectory, called: started,
                cancellation: try WakeUp(), onStart: onStart)
        } catch {
            let reason = "no event descriptor: \(error)"
            return HookCall.Answer(run: .unstarted(hook, context, called: started, reason: reason))
        }
        guard context.timeout > .zero else {
            let reason = "no time was left for it. Raise hooks.total_timeout, or speed up the hooks before it"
            return HookCall.Answer(run: .unstarted(hook, context, called: started, reason: reason))
        }
        // A start that hangs in the kernel (the hook lies on a dead disk) must not hang the request.
        let limit = HookSupervisor.grace + HookSupervisor.patience + .seconds(3)
        let abandon = call.abandonment
        let watchdog = Task.detached {
            let deadline = Moment.now + context.timeout + limit
            // Short sleeps: the runtime keeps the memory of a cancelled sleep until the sleep would have ended.
            while !Task.isCancelled, Moment.now < deadline {
                try? await Task.sleep(for: min(.seconds(1), deadline - Moment.now))
            }
            if !Task.isCancelled { abandon() }
        }
        defer { watchdog.cancel() }
        return await withTaskCancellationHandler {
            Task.detached { await call.perform() }
            return await call.end.value
        } onCancel: {
            call.cancellation.signal()
            Task.detached {
                try? await Task.sleep(for: limit)
                abandon()
            }
        }
    }
}

extension HookRun {
    static func unstarted(_ hook: Hook, _ context: HookContext, called: Moment, reason: String) -> HookRun {
        HookRun(
            name: hook.name, phase: context.phase, outcome: .notStarted(reason: reason), output: "",
            isOutputTruncated: false, started: called, duration: Moment.now - called)
    }
}
