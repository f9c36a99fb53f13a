import FreezeCore
import History
import Presentation

/// How a request ended, in a few lines.
struct RequestSummary {
    private let record: HistoryRecord
    private let isReasonTold: Bool

    /// - Parameter isReasonTold: Whether an error follows that says why the request failed, and what to do.
    init(_ record: HistoryRecord, isReasonTold: Bool = false) {
        self.record = record
        self.isReasonTold = isReasonTold && record.result == .failed
    }

    var lines: [String] {
        let items = [
            ("Request", "\(record.id) of \(record.channel)"),
            ("Result", result),
            ("Window", record.window.map { readableDuration(milliseconds: $0.duration) } ?? "nothing was frozen"),
            ("Reason", isReasonTold ? "" : record.reason ?? ""),
            ("ATTENTION", attention),
            ("More", "quiescectl show \(record.id)"),
        ]
        return labelledLines(items.map { ($0, escapedControlCharacters($1)) })
    }

    private var attention: String {
        guard let hooks = record.attention else { return "" }
        return "failed at thaw, so the application may be down: " + hooks.joined(separator: ", ")
    }

    private var result: String {
        switch record.result {
        case .succeeded where record.isDryRun: "dry run succeeded"
        case .succeeded where record.hooksOnly == true: "succeeded, hooks only"
        case .succeeded:
            (record.rehearsal == true ? "rehearsal succeeded" : "succeeded")
                + ", level \(levelText(record.level, workingHooks: record.workingHooks))"
        case .failed where record.isLost:
            isReasonTold ? "LOST" : "LOST: do not trust what was taken in this window"
        case .failed: "FAILED"
        }
    }
}
