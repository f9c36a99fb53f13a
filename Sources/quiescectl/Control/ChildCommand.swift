import ArgumentParser
import FreezeCore
import Glibc
import Subprocess
import SystemPackage
import UnixSignals

/// The command that runs while everything is frozen, with quiescectl's own input and output.
struct ChildCommand {
    /// How it ended.
    struct Outcome {
        let status: ExitCode
        /// Why it was not run. Not to be told in the window: standard error may be a file that is frozen.
        var problem: String?

        static let notRun = Outcome(status: .success)

        /// Why there is no snapshot, for the record; nil if there is one.
        var failure: String? {
            if problem != nil { return "the command could not be run" }
            return status == .success ? nil : "the command exited with status \(status.rawValue)"
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
    func run(_ request: String) async -> Outcome {
        signal(SIGINT, SIG_IGN)
        do {
            let result = try await Subprocess.run(
                .path(program.path), arguments: Arguments(Array(arguments.dropFirst())),
                environment: .inherit.updating(["QUIESCE_REQUEST_ID": request]),
                input: .fileDescriptor(.standardInput, closeAfterSpawningProcess: false),
                output: .fileDescriptor(.standardOutput, closeAfterSpawningProcess: false),
                error: .fileDescriptor(.standardError, closeAfterSpawningProcess: false)
            ) { execution in
                let passingOn = Task {
                    for await signal in await UnixSignalsSequence(trapping: .sigterm, .sighup) {
                        kill(pid_t(execution.processIdentifier.value), signal.rawValue)
                    }
                }
                return passingOn
            }
            result.closureResult.cancel()
            return switch result.terminationStatus {
            case .exited(let status): Outcome(status: ExitCode(status))
            case .signaled(let number): Outcome(status: ExitCode(128 + number))
            }
        } catch {
            return Outcome(
                status: ExitCode(126),
                problem:
                    "quiescectl: \(program.path.escaped): it cannot be run: \(escapedControlCharacters("\(error)"))"
            )
        }
    }
}
