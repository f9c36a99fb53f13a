import FreezeCore
import Presentation

/// Past requests as a table, each with the hooks behind its level and its reason below.
public struct HistoryTable: Sendable {
    private let records: [RequestRecord]
    private let style: TextStyle

    /// - Parameter records: in the order in which they are shown.
    public init(_ records: [RequestRecord], style: TextStyle = .unicode) {
        self.records = records
        self.style = style
    }

    /// Four lines: the reason may hold a hook's whole output, and `show` has all of it.
    private static let longestReason = 230

    /// The text, line by line. None if there are no records.
    public var lines: [String] {
        TextTable(
            [
                .init("ID", limit: 18, overflow: .cut), .init("WHEN (UTC)", limit: 19),
                .init("CHANNEL", limit: 10, overflow: .cut), .init("RESULT", limit: 15),
                .init("WINDOW, MS", limit: 10, .right),
            ],
            rows: records.map { record in
                TextTable.Row(
                    [
                        style.safe(record.id.text),
                        String("\(record.clock.wallTime)".prefix(19)).replacing("T", with: " "),
                        style.safe(record.channel.name), style.safe(record.summary),
                        record.window.map { fixedPoint($0.milliseconds) } ?? "-",
                    ], note: style.truncated(style.safe(record.note), to: Self.longestReason))
            }
        ).lines
    }
}

extension RequestRecord {
    /// What needs attention, the hooks behind the level, and the reason.
    fileprivate var note: String {
        let hooks = result == .succeeded && level == .application ? workingHooks : []
        return [
            isGoodBackup || isDryRun ? nil : purpose,
            attention.isEmpty ? nil : "ATTENTION, failed at thaw: " + attention.joined(separator: ", "),
            hooks.isEmpty ? nil : "hooks: " + hooks.joined(separator: ", "), reason,
        ].compactMap(\.self).joined(separator: "; ")
    }

    /// The result in a word or two.
    fileprivate var summary: String {
        switch result {
        case .succeeded where isDryRun: "dry run"
        case .succeeded where options.isRehearsal: "rehearsal"
        case .succeeded where !options.freezes: "hooks only"
        case .succeeded: level?.rawValue ?? "unknown"
        case .failed where isDryRun: "dry run FAILED"
        case .failed where isLost: "LOST"
        case .failed: "FAILED"
        }
    }
}

/// A consistency level in words, with the hooks that it rests on: `application (hooks: 50-postgresql)`.
public func levelText(_ level: ConsistencyLevel?, workingHooks: [String]) -> String {
    let text = level?.rawValue ?? "unknown"
    guard level == .application, !workingHooks.isEmpty else { return text }
    let names = workingHooks.prefix(4).joined(separator: ", ")
    return "\(text) (hooks: \(names)\(workingHooks.count > 4 ? " and \(workingHooks.count - 4) more" : ""))"
}
