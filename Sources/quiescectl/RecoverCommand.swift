import ArgumentParser
import Configuration
import Coordinator
import FreezeCore
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

    @Flag(help: "Thaw even though the quiesced that froze is alive. Its backup is then lost.")
    var force = false

    /// Does the work in this process, and tells the one that waits for it.
    @Flag(help: .hidden)
    var asChild = false

    /// Longer than the recovery's own limits, which together make some 20 seconds.
    private static let patience = Duration.seconds(30)

    func run() async throws {
        if asChild {
            do {
                try recover()
                AbandonableCommand.finish(.success)
            } catch let status as ExitCode {
                AbandonableCommand.finish(status)
            }
            return
        }
        var arguments = ["recover", "--as-child"]
        if force { arguments.append("--force") }
        if let file = options.config { arguments += ["--config", file] }
        guard let status = try AbandonableCommand.run(arguments, until: .now + Self.patience) else {
            printError(RecoveryHangs())
            throw ExitCode.failed
        }
        throw status
    }

    private func recover() throws {
        let configuration = try options.load()
        let result: RecoveryResult?
        do {
            let directory = try RunDirectory(configuration.paths.run, creating: false)
            result = try Recovery(runDirectory: directory).run(.byHand(isForced: force))
        } catch let error as LedgerError where error.isMissingDirectory {
            // No daemon has run since the boot: there cannot be a ledger.
            result = nil
        } catch let error as any ActionableError {
            printError(error)
            throw ExitCode.failed
        }
        guard let result else {
            print("Nothing to recover: no request was cut short.")
            return
        }
        print("Request \(result.requestID) was cut short.")
        for line in result.lines { print("  \(line)") }
        if result.lines.isEmpty { print("  Nothing of it is frozen.") }
        if !result.hooksOwedThaw.isEmpty {
            print("  The next start of quiesced calls for thaw: \(result.hooksOwedThaw.joined(separator: ", "))")
        }
        result.removeLedgerIfDone()
        if !result.isEverythingThawed { throw ExitCode.failed }
    }
}

private struct RecoveryHangs: ActionableError {
    var subject: String { "recover" }
    var problem: String { "it does not get on" }
    var remedy: String? { "Look for hanging disks in the kernel's log; SysRq-j thaws everything in an emergency." }
}
