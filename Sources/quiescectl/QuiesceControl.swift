import ArgumentParser
import FreezeCore
import SystemPackage

/// The admin's command line.
@main
struct QuiesceControl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "quiescectl",
        abstract: "Look at and command the freezing of filesystems for backups of this machine.",
        version: Version.current,
        subcommands: [PlanCommand.self, ShowCommand.self, RecoverCommand.self, SimulateHostCommand.self])

    /// ArgumentParser's own entry point, but for the exit status of wrong usage: it has 64 (sysexits.h), we 2.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let error as any ActionableError {
            printError(error)
            exit(withError: ExitCode.failed)
        } catch {
            guard exitCode(for: error) == .validationFailure else { exit(withError: error) }
            printError(fullMessage(for: error))
            exit(withError: ExitCode.wrongUsage)
        }
    }
}

/// How a command ends. (0 is success.)
extension ExitCode {
    /// It failed, and nothing is left frozen.
    static let failed = ExitCode(1)
    /// It was called or configured wrongly.
    static let wrongUsage = ExitCode(2)
}

/// Writes an error where errors belong, in the form all commands share.
func printError(_ error: any ActionableError) {
    printError("quiescectl: \(error)")
}

func printError(_ text: String) {
    // If standard error is gone there is nobody left to tell.
    _ = try? FileDescriptor.standardError.writeAll("\(text)\n".utf8)
}
