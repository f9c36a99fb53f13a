import FreezeCore
import LinuxCalls
import Subprocess
import SystemPackage

/// One call of one hook, from the check of its trust to its end.
struct HookCall: Sendable {
    let hook: Hook
    let context: HookContext
    let runDirectory: FilePath
    /// When the call was asked for: its time runs from here.
    let called: Moment
    let cancellation: WakeUp
    var onStart: @Sendable (ProcessIdentity) -> Void = { _ in }
    /// Fulfilled once, by whoever gets there first: the end of the hook, its word that it is ready, or somebody who will
    /// not wait for it any longer.
    let end = Promise<Answer>()
    /// Fulfilled once if a session hook was ready: by its end.
    let sessionEnd = Promise<HookRun>()

    struct Answer: Sendable {
        let run: HookRun
        /// Of a session hook that is ready.
        var session: HeldSession?
    }

    /// Always fulfils ``end``; returns only when the hook is gone, even if it was abandoned long before, so
    /// that no zombie is left.
    func perform() async {
        do throws(StartFailure) {
            let settings = try await verifyTrust()
            guard let program = try await onThread({ [hook, context] in hook.program(for: context.phase) }) else {
                return end.fulfill(
                    Answer(
                        run: HookRun(
                            name: hook.name, phase: context.phase, outcome: withoutProgram, output: "",
                            isOutputTruncated: false, started: called, duration: Moment.now - called)))
            }
            let environment = try await makeEnvironment(settings: settings)
            let wasReady = await run(program, environment)
            // On a thread, as every use of a path; if there is none to be had, a small file stays on the tmpfs. A session
            // hook may end in the window, when no path is used (P7): its file has gone when it was ready.
            if environment.needsRemoval, !wasReady {
                try? await onOwnThread("hook-files") { environment.remove() }
            }
        } catch {
            fulfillUnstarted(error.reason)
        }
    }

    /// The outcome of a call for a phase of which the hook has no program.
    private var withoutProgram: HookOutcome {
        context.phase == .freeze ? .skipped(reason: "it has no script for freeze") : .exited(status: 0)
    }

    /// Gives up waiting. Whoever is to do so later does not keep the call's descriptor open until then.
    var abandonment: @Sendable () -> Void {
        { [hook, context, called, end] in
            let run = HookRun(
                name: hook.name, phase: context.phase, outcome: .timedOut(abandoned: true), output: "",
                isOutputTruncated: false, started: called, duration: Moment.now - called)
            end.fulfill(Answer(run: run))
        }
    }

    private func fulfillUnstarted(_ reason: String) {
        end.fulfill(Answer(run: .unstarted(hook, context, called: called, reason: reason)))
    }

    /// - Returns: The hook's settings, if it has any.
    private func verifyTrust() async throws(StartFailure) -> FilePath? {
        let result = try await onThread { [hook] () -> Result<FilePath?, HookRefusal> in
            do throws(HookRefusal) {
                return .success(try hook.verify())
            } catch {
                return .failure(error)
            }
        }
        do throws(HookRefusal) {
            return try result.get()
        } catch {
            throw StartFailure(error.reason)
        }
    }

    private func makeEnvironment(settings: FilePath?) async throws(StartFailure) -> HookEnvironment {
        let result = try await onThread {
            [context, argument, runDirectory] () -> Result<HookEnvironment, Errno> in
            do throws(Errno) {
                return .success(
                    try HookEnvironment(
                        context, argument: argument, settings: settings, runDirectory: runDirectory))
            } catch {
                return .failure(error)
            }
        }
        do throws(Errno) {
            return try result.get()
        } catch {
            throw StartFailure("the list of mount points cannot be written to \(runDirectory): \(error)")
        }
    }

    private var argument: String {
        hook.style.argument(hook.kind, context.phase, hasFailed: context.result == .failed)
    }

    /// - Returns: Whether a session hook has been ready.
    private func run(_ program: FilePath, _ environment: HookEnvironment) async -> Bool {
        let streams: HookStreams
        do throws(Errno) {
            streams = try HookStreams(of: hook.kind)
        } catch {
            fulfillUnstarted("no pipe for it: \(error)")
            return false
        }
        if let reason = reasonNotToStart {
            streams.close()
            fulfillUnstarted(reason)
            return false
        }
        let started = Moment.now
        var observation: HookSupervisor.Observation?
        do {
            var options = PlatformOptions()
            // A process group of its own, and no terminal: a client that runs as another user could type into root's
            // (TIOCSTI).
            options.createSession = true
            let result = try await Subprocess.run(
                .path(program), arguments: [argument], environment: .custom(environment.rows),
                workingDirectory: "/", platformOptions: options,
                input: .fileDescriptor(streams.input, closeAfterSpawningProcess: false),
                output: .fileDescriptor(streams.output.writeEnd, closeAfterSpawningProcess: false),
                // Not .combinedWithOutput: it duplicates the descriptor, and never closes one that it was told to
                // leave open (swift-subprocess 1.0.2).
                error: .fileDescriptor(streams.output.writeEnd, closeAfterSpawningProcess: false)
            ) { execution in
                if let process = ProcessIdentity(of: execution.processIdentifier.value) { onStart(process) }
                streams.closeHooksEnds()
                let seen = await supervise(
                    execution.processIdentifier, streams, environment, started: started)
                observation = seen
                // The library goes on waiting for what hangs in the kernel, and reaps it some day. The request
                // does not.
                if seen.isAbandoned { report(seen, streams, status: nil, started: started) }
            }
            if let observation {
                report(observation, streams, status: result.terminationStatus, started: started)
            }
        } catch {
            if let observation {
                report(observation, streams, status: nil, started: started)
            } else {
                streams.close()
                fulfillUnstarted(startFailure(error).reason)
            }
        }
        return observation?.wasReady ?? false
    }

    /// Whoever gave up waiting may have called the hook for thaw by now: it must not start any more.
    private var reasonNotToStart: String? {
        if !pollOne(cancellation.descriptor, events: .readable, atMost: .zero).isEmpty {
            return "cancelled before it was started"
        }
        return Moment.now < deadline ? nil : "its time was up before it could be started: its directory is slow"
    }

    private var deadline: Moment { called + context.timeout }

    private func supervise(
        _ process: ProcessIdentifier, _ streams: HookStreams, _ environment: HookEnvironment, started: Moment
    ) async -> HookSupervisor.Observation {
        let supervisor = HookSupervisor(
            group: ProcessGroup(leader: process.value),
            processDescriptor: FileDescriptor(rawValue: process.processDescriptor),
            output: streams.output.readEnd, cancellation: cancellation, deadline: deadline,
            session: streams.session
        ) { output in
            guard let session = streams.session else { return }
            environment.remove()
            let run = record(.ready, context.phase, output, started: started, ended: Moment.now)
            end.fulfill(Answer(run: run, session: HeldSession(session, ended: sessionEnd)))
        }
        while true {
            do throws(Errno) {
                return try await onOwnThread("hook-watch") { supervisor.watch() }
            } catch {
                // No thread to be had just now (EAGAIN). The hook runs already and must not run unwatched.
                try? await Task.sleep(for: .milliseconds(10))
            }
        }
    }

    private func report(
        _ observation: HookSupervisor.Observation, _ streams: HookStreams, status: TerminationStatus?,
        started: Moment
    ) {
        let outcome = outcome(observation, status)
        guard observation.wasReady else {
            return end.fulfill(
                Answer(
                    run: record(
                        outcome, context.phase, observation.output, started: started, ended: observation.ended)))
        }
        // One that was not released has taken no time for it.
        let released = streams.session?.released ?? observation.ended
        sessionEnd.fulfill(
            record(outcome, .thaw, observation.output, started: released, ended: observation.ended))
    }

    private func outcome(_ observation: HookSupervisor.Observation, _ status: TerminationStatus?) -> HookOutcome {
        let isNeverReady = hook.kind == .session && !observation.wasReady
        return switch (observation.cause, status) {
        case (_, _) where observation.isAbandoned: .timedOut(abandoned: true)
        case (.timeout, _): isNeverReady ? .neverReady(timedOut: true) : .timedOut(abandoned: false)
        case (_, .exited(status: 0)) where isSkipped(observation):
            .skipped(reason: observation.output.skipReason ?? "")
        case (_, .exited(status: 0)) where isNeverReady: .neverReady(timedOut: false)
        case (_, .exited(let status)): .exited(status: status)
        case (_, .signaled(let signal)): .signalled(signal: signal)
        case (_, nil): .exited(status: -1)
        }
    }

    /// Imported hooks do not know the word.
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

extension HookCall {
    private func onThread<Value: Sendable>(
        _ work: @escaping @Sendable () -> Value
    ) async throws(StartFailure) -> Value {
        do throws(Errno) {
            return try await onOwnThread("hook-files", work)
        } catch {
            throw StartFailure("no thread can be started: \(error)")
        }
    }

    private func startFailure(_ error: any Error) -> StartFailure {
        guard let error = error as? SubprocessError, let errno = error.underlyingError else {
            return StartFailure("\(hook.path): it cannot be started: \(error)")
        }
        let reason =
            switch errno {
            case .execFormatError:
                "the kernel does not know how to run it. Its first line must name an interpreter: #!/bin/sh"
            case .noSuchFileOrDirectory: "the interpreter that its first line names does not exist"
            default: "it cannot be started: \(errno)"
            }
        return StartFailure("\(hook.path): \(reason)")
    }
}

/// Why a hook never ran.
private struct StartFailure: Error {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
    }
}
