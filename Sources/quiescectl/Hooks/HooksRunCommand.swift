import ArgumentParser
import Configuration
import FreezeCore
import FreezerProtocol
import Glibc
import Hooks
import Presentation
import SystemPackage

/// `quiescectl hooks run`: one round of one hook, without freezing.
struct HooksRunCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Call one hook for freeze and then for thaw, without freezing anything.",
        discussion: """
            The hook finds what it finds in a backup: the same environment, limits and user. Only QUIESCE_CHANNEL is \
            "rehearsal". It is called for thaw whatever became of freeze, also when this command is interrupted. A \
            session hook is started, and released as soon as it is ready.

            Exit status: 0 both calls succeeded; 1 one failed, or the hook is refused; 2 there is no such hook, wrong \
            usage or configuration; 4 a request is under way.

            Examples:
              quiescectl hooks run 50-myapp
              quiescectl hooks run 50-myapp --json
            """)

    @Argument(
        help: ArgumentHelp("The hook's name, as in `quiescectl hooks list`.", valueName: "name"),
        completion: .custom { arguments, _, _ in Completions.hookNames(arguments) })
    var name: String

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        try RootNeeded.require(for: "hooks run")
        let configuration = try options.load()
        let candidate = try find(in: configuration)
        try requireIdle(configuration)
        let plan = try FreezePlan.ofThisMachine(configuration, for: "hooks run")
        let rehearsal = HookRehearsal(candidate.hook, configuration, plan: plan)
        if !output.json { try printLines(["Rehearsing \(escapedControlCharacters(name)). Nothing is frozen."]) }
        // From here on nothing may end this before the hook was called for thaw: not even a reader that has gone.
        signal(SIGPIPE, SIG_IGN)
        let notice = WaitingNotice("waiting for the hook")
        let result = try rehearsal.perform()
        notice.end()
        try output.write(RehearsalDocument(result), orLines: RehearsalText(result, style: .ofLocale).lines)
        if !result.succeeded { throw ExitCode.failed }
    }

    private func find(in configuration: Configuration) throws -> HookCandidate {
        let candidates = try HookSources(configuration).scan()
        guard let candidate = candidates.first(where: { $0.hook.name == name }) else {
            printError(HookUnusable.unknown(name, in: configuration.hooks.directory, candidates.map(\.hook.name)))
            throw ExitCode.wrongUsage
        }
        if case .refused(let reason) = candidate.verdict { throw HookUnusable.refused(name, reason) }
        return candidate
    }

    /// A hook is not to be called by two at a time.
    private func requireIdle(_ configuration: Configuration) throws {
        guard let directory = try? RunDirectory(configuration.paths.run, creating: false),
            let ledger = try directory.openLedger(), ledger.daemon.isAlive
        else { return }
        printError(HookUnusable.busy(request: ledger.requestID))
        throw ExitCode.busy
    }
}

/// Why a hook cannot be rehearsed.
private struct HookUnusable: ActionableError {
    let subject: String
    let problem: String
    let remedy: String?

    static func unknown(_ name: String, in directory: FilePath, _ others: [String]) -> HookUnusable {
        let remedy = others.isEmpty ? "There are none." : "There are: \(others.joined(separator: ", "))."
        return HookUnusable(
            subject: name, problem: "there is no such hook in \(directory.escaped)", remedy: remedy)
    }

    static func refused(_ name: String, _ reason: String) -> HookUnusable {
        HookUnusable(subject: "hook \(name)", problem: "it is refused: \(reason)", remedy: nil)
    }

    static func busy(request: String) -> HookUnusable {
        HookUnusable(
            subject: "quiesced", problem: "request \(request) is under way, and may be calling the hooks",
            remedy: "Try again when it is over.")
    }
}
