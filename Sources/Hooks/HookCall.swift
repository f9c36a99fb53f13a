import FreezeCore
import LinuxCalls
import SystemPackage

/// One call of one hook, on a thread of its own: from the check of its trust to its end.
public final class HookCall: Sendable {
    let hook: Hook
    let context: HookContext
    let runDirectory: FilePath
    /// The start of the timeout.
    let called: Moment
    let cancellation: WakeUp
    let onStart: @Sendable (ProcessIdentity) -> Void
    private let completion: @Sendable (HookRun, HeldSession?) -> Void
    private let sessionEnded: @Sendable (HookRun) -> Void

    init(
        _ hook: Hook, _ context: HookContext, runDirectory: FilePath, called: Moment = .now,
        onStart: @escaping @Sendable (ProcessIdentity) -> Void,
        completion: @escaping @Sendable (HookRun, HeldSession?) -> Void,
        sessionEnded: @escaping @Sendable (HookRun) -> Void
    ) throws(Errno) {
        self.hook = hook
        self.context = context
        self.runDirectory = runDirectory
        self.called = called
        cancellation = try WakeUp()
        self.onStart = onStart
        self.completion = completion
        self.sessionEnded = sessionEnded
    }

    /// Ends the hook as at the timeout, or prevents the start. Returns at once; the completion follows. No effect on a
    /// held session.
    public func cancel() {
        cancellation.signal()
    }

    /// Calls the completion once. Blocks until the hook has ended, also after it was abandoned, so that no zombie stays.
    func perform() {
        do throws(StartRefusal) {
            let (program, settings) = try findProgram()
            guard let program else { return completion(unstarted(withoutProgram), nil) }
            let environment = try makeEnvironment(settings)
            var wasReady = false
            // A session hook may end in the window, in which no path is used (P7): the file is removed at READY.
            defer { if !wasReady { environment.remove() } }
            try refuseLateStart()
            let streams = try makeStreams()
            let started = Moment.now
            let process = try start(program, environment, streams)
            let observation = supervise(process, streams, environment, started: started)
            wasReady = observation.wasReady
            // A process that hangs in the kernel is reaped later. The request does not wait.
            if observation.isAbandoned { report(observation, streams, nil, started: started) }
            let end = process.waitForEnd()
            if !observation.isAbandoned { report(observation, streams, end, started: started) }
        } catch {
            completion(unstarted(.notStarted(reason: error.reason)), nil)
        }
    }

    // MARK: While it runs

    private func supervise(
        _ process: ChildProcess, _ streams: HookStreams, _ environment: HookEnvironment, started: Moment
    ) -> HookSupervisor.Observation {
        let supervisor = HookSupervisor(
            group: ProcessGroup(leader: process.processID), processDescriptor: process.descriptor,
            output: streams.output.readEnd, cancellation: cancellation, deadline: deadline,
            session: streams.session
        ) { [self] output in
            guard let session = streams.session else { return }
            environment.remove()
            completion(
                record(.ready, context.phase, output, started: started, ended: Moment.now), HeldSession(session))
        }
        return supervisor.watch()
    }

    // MARK: Its end

    private func unstarted(_ outcome: HookOutcome) -> HookRun {
        record(outcome, context.phase, CapturedOutput(), started: called, ended: .now)
    }

    /// - Parameter end: nil if unknown.
    private func report(
        _ observation: HookSupervisor.Observation, _ streams: HookStreams, _ end: ChildProcess.End?,
        started: Moment
    ) {
        let outcome = outcome(observation, end)
        guard observation.wasReady else {
            return completion(
                record(outcome, context.phase, observation.output, started: started, ended: observation.ended), nil
            )
        }
        // Without a release the duration is zero.
        let released = streams.session?.released ?? observation.ended
        sessionEnded(record(outcome, .thaw, observation.output, started: released, ended: observation.ended))
    }

    private func outcome(_ observation: HookSupervisor.Observation, _ end: ChildProcess.End?) -> HookOutcome {
        let isNeverReady = hook.kind == .session && !observation.wasReady
        return switch (observation.cause, end) {
        case (_, _) where observation.isAbandoned: .timedOut(abandoned: true)
        case (.timeout, _): isNeverReady ? .neverReady(timedOut: true) : .timedOut(abandoned: false)
        case (_, .exited(status: 0)) where isSkipped(observation):
            .skipped(reason: observation.output.skipReason ?? "")
        case (_, .exited(status: 0)) where isNeverReady: .neverReady(timedOut: false)
        case (_, .exited(let status)): .exited(status: status)
        case (_, .signalled(let signal)): .signalled(signal: signal)
        case (_, nil): .exited(status: -1)
        }
    }

    /// Imported hooks have no SKIP.
    private func isSkipped(_ observation: HookSupervisor.Observation) -> Bool {
        context.phase == .freeze && hook.style == .quiesce && !observation.wasReady
            && observation.output.skipReason != nil
    }

    private func record(
        _ outcome: HookOutcome, _ phase: HookPhase, _ output: CapturedOutput, started: Moment, ended: Moment
    ) -> HookRun {
        HookRun(
            name: hook.name, phase: phase, outcome: outcome, output: output.text,
            isOutputTruncated: output.isTruncated, started: started, duration: ended - started)
    }
}
