import ArgumentParser
import Configuration
import Coordinator
import FreezeCore
import Ledger
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

    func run() async throws {
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
