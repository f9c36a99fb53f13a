import ArgumentParser
import Configuration
import Coordinator
import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import SystemPackage

/// `quiescectl recover`.
struct RecoverCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "recover",
        abstract: "Thaw what a quiesced that is dead has left frozen.",
        discussion: """
            Reads the ledger in the run directory, and thaws what it names and nothing else. systemd runs it after \
            every end of the daemon. Thaw hooks that are still owed are called at the next start of quiesced.

            Exit status: 0 nothing of it is frozen any more; 1 something may be, or its quiesced is alive; 2 wrong usage.

            Examples:
              quiescectl recover
              quiescectl recover --force
              quiescectl recover --run /run/quiesced-rehearsal --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    @Option(
        name: .customLong("run"),
        help: ArgumentHelp("The run directory, whatever the configuration says.", valueName: "path"),
        completion: .directory)
    var runPath: String?

    @Flag(help: "Thaw even though the quiesced that froze is alive. Its backup is then lost.")
    var force = false

    /// Does the work in this process, and tells the one that waits for it.
    @Flag(help: .hidden)
    var asChild = false

    /// Longer than the recovery's own limits, which together make some 20 seconds.
    private static let patience = Duration.seconds(30)

    func run() throws {
        if asChild { return runAsChild() }
        try RootNeeded.require(for: "recover")
        var arguments = ["recover", "--as-child"]
        if force { arguments.append("--force") }
        if output.json { arguments.append("--json") }
        if let file = options.config { arguments += ["--config", file] }
        if let runPath { arguments += ["--run", runPath] }
        let notice = WaitingNotice("waiting for the thaw")
        defer { notice.end() }
        guard let status = try AbandonableCommand.run(arguments, until: .now + Self.patience) else {
            throw RecoveryHangs()
        }
        throw status
    }

    private func runAsChild() {
        // What a terminal sends to the one that waits must not end the one that thaws.
        setsid()
        var result: RecoveryResult?
        do {
            result = try recover()
            AbandonableCommand.finish(result?.isEverythingThawed ?? true ? .success : .failed)
        } catch let failure as UntoldRecovery {
            printError("quiescectl: \("\(failure.reason)".asSentence)")
            result = failure.result
            AbandonableCommand.finish(.failed)
        } catch let error as any ActionableError {
            printError(error)
            AbandonableCommand.finish(ExitCode(for: error))
        } catch {
            printError("quiescectl: recover: \("\(error)".asSentence)")
            AbandonableCommand.finish(.failed)
        }
        // Nobody waits for this any more. What hangs is thawed the moment it can be, however late (P1).
        result?.watchStuck()
        result?.removeLedgerIfDone()
    }

    /// Where the ledger is. A mistake in the configuration must not keep anything frozen: it is told, and the run
    /// directory that the file still names is taken, or that of systemd, or else the default.
    private func runDirectory() -> FilePath {
        if let runPath { return FilePath(runPath) }
        let systemd = getenv("RUNTIME_DIRECTORY").map { FilePath(String(cString: $0)) }
        let path: FilePath
        do throws(ConfigurationError) {
            let places = try DaemonPlaces(from: options.file)
            guard let flaw = places.flaw else { return places.run }
            path = places.namedRun ?? systemd ?? places.run
            printError(flaw)
        } catch {
            path = systemd ?? Configuration().paths.run
            printError(error)
        }
        printError("quiescectl: recovering in \(path.escaped).")
        return path
    }

    private func recover() throws -> RecoveryResult? {
        let path = runDirectory()
        let directory: RunDirectory
        do throws(LedgerError) {
            directory = try RunDirectory(path, creating: false)
        } catch {
            guard error.isMissingDirectory else { throw error }
            // A directory that was named is meant to be there.
            if runPath != nil { throw RunDirectoryMissing(path: path) }
            try tellNothing("Nothing to recover: \(path.escaped) does not exist, so no quiesced has run.")
            return nil
        }
        let isOwnerAlive = (try? directory.openLedger())?.daemon.isAlive ?? false
        guard let result = try Recovery(runDirectory: directory).run(.byHand(isForced: force)) else {
            try tellNothing("Nothing to recover in \(path.escaped): no request was cut short.")
            return nil
        }
        // Before anything is printed: a pager that stands still must not keep it.
        result.removeLedgerIfDone()
        do {
            let report = RecoveryReport(result, isOwnerAlive: isOwnerAlive)
            try output.write(RecoveryDocument(result, isOwnerAlive: isOwnerAlive), orLines: report.lines)
        } catch {
            throw UntoldRecovery(result: result, reason: error)
        }
        return result
    }

    private func tellNothing(_ text: String) throws {
        try output.write(RecoveryDocument.nothing, orLines: [text])
    }
}

/// It was done, but could not be told: what hangs must be watched all the same.
private struct UntoldRecovery: Error {
    let result: RecoveryResult
    let reason: any Error
}

private struct RunDirectoryMissing: ActionableError {
    let path: FilePath

    var subject: String { path.escaped }
    var problem: String { "there is no such run directory" }
    var remedy: String? { "Name the one that the dead quiesced had, or leave out --run." }
}

private struct RecoveryHangs: ActionableError {
    var subject: String { "recover" }
    var problem: String { "it does not get on" }
    var remedy: String? {
        "Look for hanging disks in the kernel's log; SysRq-j thaws filesystems whose freeze is finished."
    }
}
