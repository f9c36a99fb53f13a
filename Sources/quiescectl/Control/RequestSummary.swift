import FreezeCore
import History
import Presentation

/// How a request ended, in a few lines.
struct RequestSummary {
    private let record: RequestRecord
    private let isReasonTold: Bool

    /// - Parameter isReasonTold: Whether an error follows that says why the request failed, and what to do.
    init(_ record: RequestRecord, isReasonTold: Bool = false) {
        self.record = record
        self.isReasonTold = isReasonTold && record.result == .failed
    }

    var lines: [String] {
        let items = [
            ("Request", "\(record.id) of \(record.channel)"),
            ("Result", result),
            (
                "Window",
                record.window.map { readableDuration(milliseconds: $0.milliseconds) } ?? "nothing was frozen"
            ),
            ("Reason", isReasonTold ? "" : record.reason ?? ""),
            ("ATTENTION", attention),
            ("More", "quiescectl show \(record.id)"),
        ]
        return labelledLines(items.map { ($0, escapedControlCharacters($1)) })
    }

    private var attention: String {
        guard !record.attention.isEmpty else { return "" }
        return "failed at thaw, so the application may be down: " + record.attention.joined(separator: ", ")
    }

    private var result: String {
        switch record.result {
        case .succeeded where record.isDryRun: "dry run succeeded"
        case .succeeded where !record.options.freezes: "succeeded, hooks only"
        case .succeeded:
            (record.options.isRehearsal ? "rehearsal succeeded" : "succeeded")
                + ", level \(levelText(record.level, workingHooks: record.workingHooks))"
        case .failed where record.isLost:
            isReasonTold ? "LOST" : "LOST: do not trust what was taken in this window"
        case .failed: "FAILED"
        }
    }
}
