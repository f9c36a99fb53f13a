import ArgumentParser
import Configuration
import FreezeCore
import History
import Presentation

/// `quiescectl show`: one past request as a timeline.
struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Show a past request as a timeline of flushes, hooks, freezes and thaws.",
        discussion: """
            Without ID the last request. It needs no daemon. Times are UTC; the bars share one axis, from the start of \
            the request to its end; FROZEN is the time in which a snapshot is consistent.

            Exit status: 0 shown; 1 there is no such request; 2 wrong usage or configuration.

            Examples:
              quiescectl show
              quiescectl show 675d560f457c08cf --json
            """)

    @Argument(
        help: ArgumentHelp("The request's id, as in `quiescectl history`.", valueName: "id"),
        completion: .custom { arguments, _, _ in Completions.requestIDs(arguments) })
    var requestID: String?

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let file = HistoryFile(try options.load().paths)
        let match = if let requestID { try file.record(id: requestID) } else { try file.last() }
        warnOfUnreadableLines(match.unreadableLines, in: file)
        guard let record = match.record else { throw HistoryError.missing(requestID, in: file.path) }
        try output.write(record, orLines: Timeline(record, style: .ofLocale).lines)
    }
}
