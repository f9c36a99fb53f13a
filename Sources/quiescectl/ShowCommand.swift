import ArgumentParser
import Configuration
import FreezeCore
import Glibc
import History
import Presentation
import SystemPackage

/// `quiescectl show`: one past request as a timeline.
struct ShowCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show",
        abstract: "Shows a past request as a timeline of flushes, hooks, freezes and thaws.",
        discussion: """
            Without ID the last request. It needs no daemon. Times are UTC; the bars share one axis, from the start of \
            the request to its end; FROZEN is the time in which a snapshot is consistent.

            Exit status: 0 shown; 1 there is no such request; 2 wrong usage.

            Examples:
              quiescectl show
              quiescectl show 675d560f457c08cf --json
            """)

    @Argument(help: ArgumentHelp("The request's id.", valueName: "id"))
    var requestID: String?

    @Flag(help: "Print the record as JSON.")
    var json = false

    @OptionGroup var options: ConfigurationOption

    func run() throws {
        let file = HistoryFile(inStateDirectory: try options.load().paths.state)
        do throws(HistoryError) {
            let match = if let requestID { try file.record(id: requestID) } else { try file.last() }
            show(match, in: file)
            if match.record == nil { throw HistoryError.missing(requestID, in: file.path) }
        } catch {
            printError(error)
            throw ExitCode.failed
        }
    }

    private func show(_ match: HistoryMatch, in file: HistoryFile) {
        if match.unreadableLines > 0 {
            let lines = match.unreadableLines == 1 ? "1 line" : "\(match.unreadableLines) lines"
            printError(
                "quiescectl: \(file.path.escaped): passed over \(lines) that cannot be read (torn, edited, or of a newer version)"
            )
        }
        guard let record = match.record else { return }
        print(json ? record.prettyJSON() : Timeline(record, style: .ofLocale).lines.joined(separator: "\n"))
    }
}

extension TextStyle {
    /// What the locale allows; the variables in the order of locale(7).
    fileprivate static var ofLocale: TextStyle {
        let values = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { (name: String) in
            getenv(name).map { String(cString: $0) }
        }
        let locale = values.first { !$0.isEmpty }?.lowercased() ?? "C"
        return locale.contains("utf-8") || locale.contains("utf8") ? .unicode : .ascii
    }
}
