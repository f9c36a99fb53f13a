import ArgumentParser
import FreezeCore
import Glibc
import NIOCore
import Presentation

/// The admin's command line.
@main
struct QuiesceControl: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quiescectl",
        abstract: "Look at and command the freezing of filesystems for backups of this machine.",
        discussion: """
            Exit status of every command:
              0  done
              1  failed; nothing is left frozen
              2  wrong usage or configuration
              3  the daemon cannot be reached
              4  another request is under way
              5  done, but consistency was lost: do not trust what was taken
              6  done, but a hook failed at thaw: its application may be down

            Examples:
              quiescectl check
              quiescectl status
              quiescectl exec --help
            """,
        version: Version.current,
        subcommands: [
            PlanCommand.self, CheckCommand.self, ServicesCommand.self, StatusCommand.self, FreezeCommand.self,
            ThawCommand.self, ExecCommand.self, HistoryCommand.self, ShowCommand.self, HooksCommand.self,
            RecoverCommand.self, AcknowledgeCommand.self, SimulateHostCommand.self,
        ])

    /// As all errors begin.
    static let _errorPrefix = "quiescectl: "

    static func main() {
        openStandardDescriptors()
        // A thaw does not end with the reader of the output: see OutputError.endIfBrokenPipe.
        signal(SIGPIPE, SIG_IGN)
        // One connection or two need no thread for each processor.
        NIOSingletons.groupLoopCountSuggestion = 1
        do {
            var command = try parseAsRoot()
            try command.run()
        } catch {
            Glibc.exit(conclude(error).rawValue)
        }
    }

    /// Prints an error, or the help, and returns the exit status.
    ///
    /// ArgumentParser's own way has status 64 for wrong usage (sysexits.h), and does not notice when its text cannot be
    /// written.
    private static func conclude(_ error: any Error) -> ExitCode {
        OutputError.endIfBrokenPipe(error)
        if let error = error as? any ActionableError {
            printError(error)
            return ExitCode(for: error)
        }
        let status = exitCode(for: error)
        let text = fullMessage(for: error, columns: TextLayout.width)
        do throws(OutputError) {
            if status == .success {
                if !text.isEmpty { try printText(text + "\n") }
            } else if !text.isEmpty {
                printError(escapedLines(text))
            }
        } catch {
            OutputError.endIfBrokenPipe(error)
            printError(error)
            return .failed
        }
        return status == .validationFailure ? .wrongUsage : status
    }

    /// The parser repeats what it does not know as it was typed.
    private static func escapedLines(_ text: String) -> String {
        text.split(separator: "\n", omittingEmptySubsequences: false).map { escapedControlCharacters($0) }
            .joined(separator: "\n")
    }

    /// Opens /dev/null for closed standard descriptors: otherwise the next file or socket gets the number and the
    /// output.
    private static func openStandardDescriptors() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            // Returns the lowest free number (open(2)): this descriptor. The command of `exec` inherits the descriptor.
            _ = Glibc.open("/dev/null", O_RDWR)
        }
    }
}
