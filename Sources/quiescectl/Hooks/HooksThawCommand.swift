import ArgumentParser
import Configuration
import FreezeCore
import Glibc
import Hooks
import Ledger
import LinuxCalls
import SystemPackage

/// `quiescectl hooks thaw`: ends what `hooks freeze` has begun.
struct HooksThawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw",
        abstract: "Release what `quiescectl hooks freeze` holds, and call the hooks for thaw.",
        discussion: """
            For the scripts of other agents: see hooks/adapters. It does no harm where nothing is held.

            Exit status: 0 all was held until now, or there was nothing to do; 1 it could not be done; 2 wrong usage or \
            configuration; 4 quiesced is serving a request; 5 done, but something was lost before: the snapshot is not \
            to be trusted.

            Examples:
              quiescectl hooks thaw
              quiescectl hooks thaw --failed
            """)

    @Flag(help: "There is no good snapshot: the hooks are told so.")
    var failed = false

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        try RootNeeded.require(for: "hooks thaw")
        let configuration = try options.load()
        guard let directory = try? RunDirectory(configuration.paths.run, creating: false) else {
            return try tellNothing()
        }
        guard let ledger = try directory.openLedger() else { return try tellReport(in: directory) }
        guard ledger.channel == "hooks" else {
            printError(ServedByDaemon(request: ledger.requestID))
            throw ExitCode.busy
        }
        let notice = WaitingNotice("waiting for the hooks")
        defer { notice.end() }
        guard let holder = try ledger.daemon.openStored() else {
            return try thawLeftovers(of: ledger, in: directory, configuration)
        }
        try holder.send(signal: failed ? SIGTERM : HeldRound.goodEnd)
        let policy = RequestPolicy(configuration)
        let patience = policy.sessionReleaseTimeout + policy.hooksTotalTimeout + .seconds(30)
        guard holder.waitForEnd(atMost: patience) else { throw HeldRoundProblem.doesNotAnswer }
        // It may have been killed meanwhile.
        guard try directory.openLedger() == nil else {
            return try thawLeftovers(of: ledger, in: directory, configuration)
        }
        try tellReport(in: directory)
    }

    private func tellReport(in directory: RunDirectory) throws {
        guard let report = RoundReport.take(from: directory) else { return try tellNothing() }
        try tell(report)
    }

    private func tell(_ report: RoundReport) throws {
        try output.write(
            report, orLines: report.lines(title: "The hooks are called for thaw. All was held until now."))
        // Who says that it has failed knows.
        if report.failure != nil && !failed { throw ExitCode.consistencyLost }
    }

    private func tellNothing() throws {
        let nothing = RoundReport(RequestID(""), [], failure: nil)
        try output.write(nothing, orLines: ["Nothing is held: there is nothing to thaw."])
    }

    /// The holder is dead, and its sessions have ended with their standard input.
    private func thawLeftovers(
        of ledger: Ledger, in directory: RunDirectory, _ configuration: Configuration
    ) throws {
        for index in ledger.hooks.indices {
            guard let process = (try? ledger.hookProcess(index)?.openStored()) ?? nil else { continue }
            _ = OrphanHook(process).end(HookKind(hookName: ledger.hooks[index]))
        }
        let requestID = RequestID(ledger.requestID)
        let sources = HookSources(configuration)
        let hooks = ledger.hooks.map { HookCandidate(hook: sources.hook(named: $0), verdict: .trusted) }
        let round = HookRound(
            hooks,
            context: HookRound.Context(
                requestID: requestID, channel: ChannelID(name: "hooks"), mountPoints: [], level: .crash),
            policy: RequestPolicy(configuration), runner: HookRunner(runDirectory: directory.path))
        round.thawLeftovers(of: ledger)
        directory.remove(ledger)
        try tell(RoundReport(requestID, round.calls, failure: "the process that held the hooks was killed"))
    }
}

private struct ServedByDaemon: ActionableError {
    let request: String

    var subject: String { "hooks thaw" }
    var problem: String { "request \(request) is quiesced's own" }
    var remedy: String? { "Thaw it with quiescectl thaw." }
}
