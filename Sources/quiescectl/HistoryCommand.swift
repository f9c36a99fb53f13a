import ArgumentParser
import Configuration
import FreezeCore
import History
import Presentation

/// `quiescectl history`: past requests, one below the other.
struct HistoryCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "history",
        abstract: "List past requests, the newest first.",
        discussion: """
            RESULT is the consistency level that was reached: application, filesystem or crash. FAILED means that \
            whoever asked was told so; LOST, that he was told only after a snapshot could have been taken: do not trust \
            that one. WINDOW is from the first freeze to the last thaw. It needs no daemon. `quiescectl show ID` has \
            everything about one request.

            Exit status: 0 listed; 1 there is no history, or it cannot be read; 2 wrong usage or configuration.

            Examples:
              quiescectl history
              quiescectl history --limit 5
              quiescectl history --json --limit 100
            """)

    @Option(help: ArgumentHelp("List this many at most.", valueName: "count"))
    var limit = 20

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func validate() throws {
        guard limit > 0 else { throw ValidationError("--limit \(limit): it must be at least 1.") }
    }

    func run() throws {
        let file = HistoryFile(try options.load().paths)
        let page = try file.records(limit: limit)
        warnOfUnreadableLines(page.unreadableLines, in: file)
        try output.write(page.records, orLines: HistoryTable(page.records, style: .ofLocale).lines)
        if page.records.isEmpty { throw HistoryError.missing(nil, in: file.path) }
    }
}

/// Lines that no command can show are at least counted.
func warnOfUnreadableLines(_ count: Int, in file: HistoryFile) {
    guard count > 0 else { return }
    printError(
        "quiescectl: \(file.path.escaped): passed over \(counted(count, "line")) that cannot be read (torn, edited, or of a newer version)"
    )
}

extension HistoryFile {
    /// The history of the daemon with this configuration.
    convenience init(_ paths: Configuration.Paths) {
        self.init(inStateDirectory: paths.state, heldIn: paths.run)
    }
}
