import ArgumentParser
import Configuration
import FreezeCore
import Glibc
import Hooks
import Ledger
import LinuxCalls
import SystemPackage

/// `quiescectl hooks freeze`: all hooks, for another agent that freezes.
struct HooksFreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze",
        abstract: "Call all hooks for freeze, for another agent that is going to freeze.",
        discussion: """
            For the scripts of other agents, such as QEMU's guest agent or VMware's tools: see hooks/adapters. Nothing is \
            frozen. A process stays behind that holds the session hooks, until `quiescectl hooks thaw`; that has to come \
            within freeze.max_window, or everything is let go of, and the hooks are called for thaw as after a failure.

            If a hook fails, those that were started are called for thaw at once.

            Exit status: 0 all is held; 1 a hook failed, and nothing is held; 2 wrong usage or configuration; 4 quiesced \
            is running, which freezes by itself, or an earlier call is still to be thawed.

            Examples:
              quiescectl hooks freeze && snapshot; quiescectl hooks thaw
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    /// Does the work in this process, tells the one that waits for it, and stays.
    @Flag(help: .hidden)
    var asChild = false

    func run() throws {
        try RootNeeded.require(for: "hooks freeze")
        let configuration = try options.load()
        if asChild { return HeldRound(configuration, output).run() }
        var arguments = ["hooks", "freeze", "--as-child"]
        if output.json { arguments.append("--json") }
        if let file = options.config { arguments += ["--config", file] }
        let policy = RequestPolicy(configuration)
        let notice = WaitingNotice("waiting for the hooks")
        defer { notice.end() }
        // Freeze, and after a failure thaw.
        let patience = policy.planTimeout + policy.hooksTotalTimeout + policy.hooksTotalTimeout + .seconds(60)
        guard let status = try AbandonableCommand.run(arguments, until: .now + patience) else {
            throw HeldRoundProblem.doesNotAnswer
        }
        throw status
    }
}

/// The process that holds a round of hooks between `hooks freeze` and `hooks thaw`.
struct HeldRound {
    /// Sent by `hooks thaw`. Everything else that ends a process ends the round as failed.
    static let goodEnd = SIGUSR1

    private let configuration: Configuration
    private let output: OutputOption

    init(_ configuration: Configuration, _ output: OutputOption) {
        self.configuration = configuration
        self.output = output
    }

    func run() {
        // What a terminal sends to the one that waits must not end what is held.
        setsid()
        signal(SIGPIPE, SIG_IGN)
        do {
            try freezeAndHold()
        } catch let error as any ActionableError {
            printError(error)
            AbandonableCommand.finish(error is HeldRoundProblem ? .busy : ExitCode(for: error))
        } catch {
            printError("quiescectl: hooks freeze: \("\(error)".asSentence)")
            AbandonableCommand.finish(.failed)
        }
    }

    private func freezeAndHold() throws {
        let directory = try RunDirectory(configuration.paths.run, creating: true)
        let lock = try lock(directory)
        defer { try? lock.close() }
        guard try directory.openLedger() == nil else { throw HeldRoundProblem.leftover }
        RoundReport.remove(from: directory)
        let plan = try FreezePlan.ofThisMachine(configuration, for: "hooks freeze")
        let hooks = try HookSources(configuration).scan()
        let requestID = RequestID("hooks-" + String(UInt32.random(in: 0x1000_0000 ... .max), radix: 16))
        let (ledger, descriptor) = try directory.createLedger(
            LedgerContents(
                requestID: requestID.text, channel: "hooks", daemon: .current, superblocks: [],
                hooks: hooks.map(\.hook.name)))
        try? descriptor.close()
        let round = HookRound(
            hooks,
            context: HookRound.Context(plan, requestID: requestID, channel: ChannelID(name: "hooks")),
            policy: RequestPolicy(configuration), runner: HookRunner(runDirectory: directory.path), ledger: ledger)
        let end = try RoundEnd()
        end.onFailure { round.cancel() }
        round.freeze()
        if round.failure != nil {
            round.thaw()
            directory.remove(ledger)
            try tell(round, requestID)
            return AbandonableCommand.finish(.failed)
        }
        try tell(round, requestID)
        AbandonableCommand.finish(.success)
        let window = configuration.freeze.maxWindow
        let reason = end.wait(atMost: window)
        round.thaw(failure: reason)
        // First the report: whoever waits for this process reads it, and finds no ledger.
        RoundReport(requestID, round.calls, failure: round.failure).write(to: directory)
        directory.remove(ledger)
    }

    private func tell(_ round: HookRound, _ requestID: RequestID) throws {
        let report = RoundReport(requestID, round.calls, failure: round.failure)
        try output.write(report, orLines: report.lines(title: "The hooks are called for freeze, and held."))
    }

    private func lock(_ directory: RunDirectory) throws -> FileDescriptor {
        do throws(LedgerError) {
            return try directory.lock()
        } catch {
            throw error.code == .inUse ? HeldRoundProblem.inUse(directory.path) : error
        }
    }
}

/// Why hooks are not called for another agent.
enum HeldRoundProblem: ActionableError {
    case inUse(FilePath)
    case leftover
    case doesNotAnswer

    var subject: String { "hooks freeze" }

    var problem: String {
        switch self {
        case .inUse: "the hooks are quiesced's, which is running and freezes by itself, or they are held already"
        case .leftover: "an earlier request was cut short, and its hooks are still to be called for thaw"
        case .doesNotAnswer: "the process that holds the hooks does not answer"
        }
    }

    var remedy: String? {
        switch self {
        case .inUse:
            "Run quiescectl hooks thaw; or stop and disable quiesced, if another agent freezes this machine."
        case .leftover: "Run quiescectl hooks thaw, or start quiesced."
        case .doesNotAnswer: "Run quiescectl hooks thaw, and look what the hooks wait for."
        }
    }
}
