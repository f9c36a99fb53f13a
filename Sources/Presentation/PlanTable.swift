import FreezeCore

/// A plan as text for a terminal.
public struct PlanTable: Sendable {
    private let plan: FreezePlan
    private let width: Int

    /// - Parameter width: in columns. Nothing is cut off to keep to it: what does not fit goes on below.
    public init(_ plan: FreezePlan, width: Int = TextLayout.width) {
        self.plan = plan
        self.width = width
    }

    /// The table, the notes, and a paragraph that sums up.
    public var lines: [String] {
        let notes = plan.notes.flatMap { note in
            "Note: \(escapedControlCharacters(note))".wrapped(to: width, indentation: 6)
        }
        let sections = [table.lines, notes, plan.summary.wrapped(to: width)]
        return Array(sections.filter { !$0.isEmpty }.joined(separator: [""]))
    }

    private var table: TextTable {
        TextTable(
            [
                .init("ORDER", limit: 5), .init("ACTION", limit: 6), .init("MOUNT POINT", overflow: .cut),
                .init("TYPE", limit: 10, overflow: .cut), .init("WHY"),
            ],
            rows: plan.filesystems.map { filesystem in
                [
                    filesystem.step.map { "\($0 + 1)" } ?? "-", filesystem.action.rawValue,
                    filesystem.mountPoint.escaped, escapedControlCharacters(filesystem.mount.filesystemType),
                    filesystem.orderReason.map { "\(filesystem.reason); \($0)" } ?? filesystem.reason,
                ]
            }, width: width)
    }
}

extension FreezePlan {
    /// How many are frozen, synced and skipped, and how good a backup this makes at best.
    public var summary: String {
        let counts = FilesystemAction.allCases.map { "\(filesystems($0).count) to \($0.rawValue)" }
        let degrading = loweringLevel.map(\.mountPoint.escaped) + unreachable.map(\.summary)
        var text = counts.joined(separator: ", ")
        if steps.count > 1 { text += "; frozen in \(steps.count) steps, thawed in reverse" }
        if filesystems(.freeze).isEmpty, onlyFlushed.isEmpty {
            text += ": there is no filesystem to freeze."
        } else if let first = degrading.first {
            let others = degrading.count > 1 ? " and \(degrading.count - 1) more" : ""
            text += ". Crash-consistent at best, because of \(first)\(others)."
        } else {
            text += "."
        }
        return text
    }
}
