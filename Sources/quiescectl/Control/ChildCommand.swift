import ArgumentParser
import FreezeCore
import Glibc
import Subprocess
import Synchronization
import SystemPackage
import UnixSignals

/// The command that runs while everything is frozen, with quiescectl's own input and output.
struct ChildCommand {
    /// How it ended.
    struct Outcome {
        let status: ExitCode
        /// Why it was not run. Not to be told in the window: standard error may be a file that is frozen.
        var problem: String?
        /// Whether a signal asked quiescectl, or the command, to end.
        var wasCancelled = false

        static let notRun = Outcome(status: .success)

        /// Why there is no snapshot, for the record; nil if there is one.
        var failure: String? {
            if problem != nil { return "the command could not be run" }
            guard status != .success else { return nil }
            let clause = "the command exited with status \(status.rawValue)"
            return wasCancelled ? "\(CancelAtSignal.reason): \(clause)" : clause
        }
    }

    private let program: ProgramFile
    private let arguments: [String]

    /// - Parameter arguments: The name it was called by first.
    init(_ program: ProgramFile, _ arguments: [String]) {
        self.program = program
        self.arguments = arguments
    }

    /// Runs it to its end. Ctrl-C reaches it from the terminal, since it is in our process group; SIGTERM and SIGHUP are
    /// passed on. Neither ends quiescectl, which has to thaw.
    ///
    /// - Parameter started: Called with its process id.
    func run(_ request: String, started: @escaping @Sendable (Int32) async -> Void) async -> Outcome {
        signal(SIGINT, SIG_IGN)
        defer { signal(SIGINT, SIG_IGN) }
        let signals = ReceivedSignals()
        do {
            let result = try await Subprocess.run(
                .path(program.path), arguments: Arguments(Array(arguments.dropFirst())),
                environment: .inherit.updating(["QUIESCE_REQUEST_ID": request]),
                input: .fileDescriptor(.standardInput, closeAfterSpawningProcess: false),
                output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
                error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false)
            ) { execution in
                let passingOn = Task {
                    for await signal in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
                        signals.wereReceived.store(true, ordering: .relaxed)
                        guard signal != .sigint else { continue }
                        kill(pid_t(execution.processIdentifier.value), signal.rawValue)
                    }
                }
                await started(Int32(execution.processIdentifier.value))
                return passingOn
            }
            result.closureResult.cancel()
            let wasCancelled = signals.wereReceived.load(ordering: .relaxed)
            return switch result.terminationStatus {
            case .exited(let status): Outcome(status: ExitCode(status), wasCancelled: wasCancelled)
            case .signaled(let number):
                Outcome(status: ExitCode(128 + number), wasCancelled: wasCancelled || number == SIGINT)
            }
        } catch {
            return Outcome(
                status: ExitCode(126),
                problem:
                    "quiescectl: \(program.path.escaped): it cannot be run: \(escapedControlCharacters("\(error)"))"
                    .asSentence
            )
        }
    }
}

/// Whether a signal was received; shared with the task that waits for signals.
private final class ReceivedSignals: Sendable {
    let wereReceived = Atomic(false)
}
