import ArgumentParser
import Configuration
import FreezeCore
import History
import Hooks
import Presentation

/// `quiescectl hooks list`: the hooks in their order, with their trust verdict and how they did the last time.
struct HooksListCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list",
        abstract: "List the hooks in the order in which they are called.",
        discussion: """
            TRUST tells whether the hook may be run; REFUSED comes with the reason. TIMEOUT is for each call, and never \
            more than what is left of hooks.total_timeout. ON FAILURE: abort fails the request, continue lowers the level \
            of its result. LAST and TOOK are of the last \
            request that called it: of its freeze, or of its thaw if only that failed. Nothing is run.

            Exit status: 0 listed; 1 the directory cannot be read; 2 wrong usage or configuration.

            Examples:
              quiescectl hooks list
              quiescectl hooks list --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let configuration = try options.load()
        let candidates = try HookSources(configuration).scan()
        let past = pastRequests(configuration)
        let hooks = candidates.enumerated().map { index, candidate in
            HookDocument(
                candidate, order: index + 1, policy: RequestPolicy(configuration),
                last: HookDocument.Last(of: candidate.hook.name, in: past))
        }
        let directory = configuration.hooks.directory.escaped
        try output.write(hooks, orLines: hooks.isEmpty ? ["There are no hooks in \(directory)."] : table(hooks))
    }

    /// The newest first. Who cannot read the history can list the hooks all the same.
    private func pastRequests(_ configuration: Configuration) -> [RequestRecord] {
        do throws(HistoryError) {
            return try HistoryFile(configuration.paths).records(limit: 100).records
        } catch {
            printError(error)
            return []
        }
    }

    private func table(_ hooks: [HookDocument]) -> [String] {
        let style = TextStyle.ofLocale
        return TextTable(
            [
                .init("#", limit: 3, .right), .init("NAME", overflow: .cut), .init("KIND", limit: 7),
                .init("TRUST", limit: 7), .init("TIMEOUT", limit: 7, .right), .init("ON FAILURE", limit: 10),
                .init("LAST", limit: 16), .init("TOOK, MS", limit: 10, .right),
            ],
            rows: hooks.map { hook in
                TextTable.Row(
                    [
                        "\(hook.order)", style.safe(hook.name), hook.kind, hook.trusted ? "trusted" : "REFUSED",
                        DurationText.text(.milliseconds(hook.timeout)), hook.onFailure,
                        style.safe(hook.last?.summary ?? "-"),
                        hook.last.map { fixedPoint($0.duration.milliseconds) } ?? "-",
                    ], note: style.safe(hook.reason ?? ""))
            }
        ).lines
    }
}
