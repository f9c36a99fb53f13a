import Coordinator
import FreezeCore
import FreezerProtocol
import Glibc
import Presentation

/// What a recovery by hand did, in words.
struct RecoveryReport {
    private let result: RecoveryResult
    private let isOwnerAlive: Bool

    /// - Parameter isOwnerAlive: whether the daemon that froze lives, and its window was ended by force.
    init(_ result: RecoveryResult, isOwnerAlive: Bool) {
        self.result = result
        self.isOwnerAlive = isOwnerAlive
    }

    var lines: [String] {
        let id = escapedControlCharacters(result.requestID.text)
        var lines = [
            isOwnerAlive
                ? "Request \(id) of a living quiesced was ended by force: its backup is lost."
                : result.wasGood
                    ? "The thaw hooks of request \(id) were cut short." : "Request \(id) was cut short."
        ]
        lines += result.lines.map { "  \(text($0))" }
        if result.lines.isEmpty { lines.append("  Nothing of it is frozen.") }
        if !result.hooksOwedThaw.isEmpty {
            let caller = isOwnerAlive ? "quiesced" : "The next start of quiesced"
            lines.append("  \(caller) calls for thaw: \(result.hooksOwedThaw.joined(separator: ", "))")
        }
        // A log, which systemd writes it to, takes whole lines.
        return isatty(STDOUT_FILENO) == 1 ? lines.flatMap(\.wrappedKeepingIndentation) : lines
    }

    private func text(_ line: RecoveryResult.Line) -> String {
        // The living daemon sees the end of its freezer, and thaws as well: who was quicker is all one.
        guard isOwnerAlive, line.outcome == .thaw(.nothingToDo) || line.outcome == .thaw(.thawedBySomebodyElse)
        else { return "\(line)" }
        return "\(line.mountPoint.escaped): thawed by quiesced"
    }
}

extension String {
    fileprivate var wrappedKeepingIndentation: [String] {
        let indentation = prefix { $0 == " " }
        return wrapped(to: TextLayout.width - indentation.count, indentation: 2).map { indentation + $0 }
    }
}
