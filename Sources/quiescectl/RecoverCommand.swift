import ArgumentParser
import Configuration
import Coordinator
import FreezeCore
import Glibc
import Ledger
import LinuxCalls
import SystemPackage

/// `quiescectl recover`.
struct RecoverCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Thaw what a quiesced that is dead has left frozen.",
        discussion: """
            Reads the ledger in the run directory, and thaws what it names and nothing else. systemd runs it after \
            every end of the daemon. Thaw hooks that are still owed are called at the next start of quiesced.

            Examples:
              quiescectl recover
              quiescectl recover --force
            """)

    @OptionGroup var options: ConfigurationOption

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("The run directory, whatever the configuration says.", valueName: "directory"))
    var runPath: String?

    @Flag(help: "Thaw even though the quiesced that froze is alive. Its backup is then lost.")
    var force = false

    /// Does the work in this process, and tells the one that waits for it.
    @Flag(help: .hidden)
    var asChild = false

    /// Longer than the recovery's own limits, which together make some 20 seconds.
    private static let patience = Duration.seconds(30)

    func run() async throws {
        if asChild {
            // What a terminal sends to the one that waits must not end the one that thaws.
            setsid()
            var result: RecoveryResult?
            do {
                result = try recover()
                AbandonableCommand.finish(result?.isEverythingThawed ?? true ? .success : .failed)
            } catch let status as ExitCode {
                AbandonableCommand.finish(status)
            }
            // Nobody waits for this any more. What hangs is thawed the moment it can be, however late (P1).
            result?.watchStuck()
            result?.removeLedgerIfDone()
            return
        }
        var arguments = ["recover", "--as-child"]
        if force { arguments.append("--force") }
        if let file = options.config { arguments += ["--config", file] }
        if let runPath { arguments += ["--run", runPath] }
        guard let status = try AbandonableCommand.run(arguments, until: .now + Self.patience) else {
            printError(RecoveryHangs())
            throw ExitCode.failed
        }
        throw status
    }

    /// Where the ledger is. A mistake in the configuration must not keep anything frozen: it is told, and the run
    /// directory that systemd names, or else the default, is taken.
    private func runDirectory() -> FilePath {
        if let runPath { return FilePath(runPath) }
        do throws(ConfigurationError) {
            return try options.loadOrThrow().paths.run
        } catch {
            let path =
                getenv("RUNTIME_DIRECTORY").map { FilePath(String(cString: $0)) } ?? Configuration().paths.run
            printError(error)
            printError("quiescectl: recovering in \(path)")
            return path
        }
    }

    private func recover() throws -> RecoveryResult? {
        let path = runDirectory()
        let result: RecoveryResult?
        do {
            let directory = try RunDirectory(path, creating: false)
            result = try Recovery(runDirectory: directory).run(.byHand(isForced: force))
        } catch let error as LedgerError where error.isMissingDirectory {
            // No daemon has run since the boot: there cannot be a ledger.
            result = nil
        } catch let error as any ActionableError {
            printError(error)
            throw ExitCode.failed
        }
        guard let result else {
            print("Nothing to recover in \(path.escaped): no request was cut short.")
            return nil
        }
        // Before anything is printed: a pager that stands still must not keep it.
        result.removeLedgerIfDone()
        print("Request \(result.requestID) was cut short.")
        for line in result.lines { print("  \(line)") }
        if result.lines.isEmpty { print("  Nothing of it is frozen.") }
        if !result.hooksOwedThaw.isEmpty {
            print("  The next start of quiesced calls for thaw: \(result.hooksOwedThaw.joined(separator: ", "))")
        }
        return result
    }
}

private struct RecoveryHangs: ActionableError {
    var subject: String { "recover" }
    var problem: String { "it does not get on" }
    var remedy: String? { "Look for hanging disks in the kernel's log; SysRq-j thaws everything in an emergency." }
}
