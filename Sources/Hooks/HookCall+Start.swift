import FreezeCore
import LinuxCalls
import SystemPackage

/// Verifies a hook, and starts its process.
extension HookCall {
    var deadline: Moment { called + context.timeout }

    /// Verifies the hook's trust, on a thread that can be abandoned: a dead disk does not block the caller.
    ///
    /// - Returns: The program, nil if the hook has no program for the phase; and the file of settings, if there is one.
    func findProgram() throws(StartRefusal) -> (program: FilePath?, settings: FilePath?) {
        try refuseLateStart()
        let look: @Sendable () -> Result<(FilePath?, FilePath?), HookRefusal> = { [hook, context] in
            do throws(HookRefusal) {
                let settings = try hook.verify()
                return .success((hook.program(for: context.phase), settings))
            } catch {
                return .failure(error)
            }
        }
        let result = AbandonableWork.run([look], until: deadline, cancellation: cancellation)[0]
        try refuseLateStart()
        guard let result else { throw StartRefusal("no thread or event descriptor for it") }
        do throws(HookRefusal) {
            return try result.get()
        } catch {
            throw StartRefusal(error.reason)
        }
    }

    /// After the timeout the hook may have been called for thaw already, so a start for freeze must fail.
    func refuseLateStart() throws(StartRefusal) {
        if !pollOne(cancellation.descriptor, events: .readable, atMost: .zero).isEmpty {
            throw StartRefusal("cancelled before it was started")
        }
        if Moment.now >= deadline {
            throw StartRefusal("its time was up before it could be started: its directory is slow")
        }
    }

    /// The outcome if the hook has no program for the phase.
    var withoutProgram: HookOutcome {
        context.phase == .freeze ? .skipped(reason: "it has no script for freeze") : .exited(status: 0)
    }

    func makeEnvironment(_ settings: FilePath?) throws(StartRefusal) -> HookEnvironment {
        do throws(Errno) {
            return try HookEnvironment(context, argument: argument, settings: settings, runDirectory: runDirectory)
        } catch {
            throw StartRefusal("the list of mount points cannot be written to \(runDirectory): \(error)")
        }
    }

    func makeStreams() throws(StartRefusal) -> HookStreams {
        do throws(Errno) {
            return try HookStreams(of: hook.kind)
        } catch {
            throw StartRefusal("no pipe for it: \(error)")
        }
    }

    private var argument: String {
        hook.style.argument(hook.kind, context.phase, hasFailed: context.result == .failed)
    }

    /// With a new session: a process group, and no terminal. A client of another user could type into the terminal of
    /// root (TIOCSTI).
    ///
    /// The process is told to the owner of the call before the hook begins: after a crash the hook can be ended.
    func start(
        _ program: FilePath, _ environment: HookEnvironment, _ streams: HookStreams
    ) throws(StartRefusal) -> ChildProcess {
        defer { streams.closeHooksEnds() }
        do throws(StartFailure) {
            return try ChildProcess.start(
                ChildProcess.Program(
                    program, arguments: [program.string, argument], environment: environment.rows, directory: "/",
                    hasOwnSession: true, inheritance: .nothing),
                descriptors: [streams.input, streams.output.writeEnd, streams.output.writeEnd], until: deadline,
                cancellation: cancellation
            ) { process throws(StartFailure) in
                do throws(Errno) {
                    guard let identity = try ProcessIdentity.lookUp(process) else { throw .noSuchProcess }
                    onStart(identity)
                } catch {
                    throw StartFailure(.process, error)
                }
                StopPoint.reach("starting a hook")
            }
        } catch {
            streams.closeOurEnds()
            throw refusal(error)
        }
    }

    private func refusal(_ failure: StartFailure) -> StartRefusal {
        let clause =
            switch (failure.stage, failure.errno) {
            case (.program, .execFormatError):
                "the kernel does not know how to run it. Its first line must name an interpreter: #!/bin/sh"
            case (.program, .noSuchFileOrDirectory): "the interpreter that its first line names does not exist"
            default: "it cannot be started: \(failure)"
            }
        return StartRefusal("\(hook.path): \(clause)")
    }
}

/// Why a hook is not started.
struct StartRefusal: Error {
    let reason: String

    init(_ reason: String) {
        self.reason = reason
    }
}
