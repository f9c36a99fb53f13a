import FreezeCore
import Presentation

/// A record drawn as text: what was done when, on one axis of time, and what to know about it.
///
/// No line is wider than 80 columns, whatever is in the record, and nothing in it can control the terminal.
public struct Timeline: Sendable {
    // at, took, bar and outcome with their borders leave the rest to the step's name.
    private static let numberWidth = 9
    private static let barWidth = 18
    private static let outcomeWidth = 10
    private static let stepWidth = TextLayout.width - 2 * (numberWidth + 1) - (barWidth + 3) - (outcomeWidth + 1)

    let record: RequestRecord
    let style: TextStyle

    public init(_ record: RequestRecord, style: TextStyle = .unicode) {
        self.record = record
        self.style = style
    }

    /// The text, line by line.
    public var lines: [String] {
        let sections = [
            header, table, failures, hookOutput, refusedHooks, dryRunLists, notFrozen, unreachable, synced,
            skipped,
            omission,
        ]
        return Array(sections.filter { !$0.isEmpty }.joined(separator: [""]))
    }

    // MARK: Header

    private var header: [String] {
        var items = [
            ("Request", "\(record.id) from \(record.channel)"),
            (
                "Started",
                "\(record.clock.wallTime), took \(readableDuration(milliseconds: record.duration.milliseconds))"
            ),
            ("Result", result),
        ]
        if let purpose = record.purpose, !record.isDryRun {
            items.append(("Purpose", "\(purpose): not counted as a backup of the machine"))
        }
        if let window = record.window {
            let duration = readableDuration(milliseconds: window.milliseconds)
            let isOver = !record.filesystems.contains(where: \.isStuck)
            let extent = isOver ? "from the first freeze to the last thaw" : "and not over: see Failures"
            items.append(("Window", "\(duration) \(extent)"))
        }
        if let reason = record.reason { items.append(("Reason", reason)) }
        if !record.attention.isEmpty {
            let hooks = record.attention.joined(separator: ", ")
            items.append(("ATTENTION", "failed at thaw, so the application may be down: \(hooks)"))
        }
        return labelledLines(items.map { (label: $0, text: style.safe($1)) })
    }

    private var result: String {
        let level = levelText(record.level, workingHooks: record.workingHooks)
        return switch record.result {
        case .succeeded where record.isDryRun: "dry run succeeded: nothing was frozen; level at best \(level)"
        case .succeeded where !record.options.freezes: "succeeded: hooks were called, and nothing was frozen"
        case .succeeded: "succeeded, consistency level \(level)"
        case .failed where record.isDryRun: "dry run FAILED: a backup would fail, too"
        case .failed where record.isLost: "FAILED after it was frozen: do not trust the snapshot"
        case .failed: "FAILED"
        }
    }

    // MARK: Table

    private var table: [String] {
        let rows = record.timelineRows
        guard !rows.isEmpty else { return [] }
        let title = line(
            "At, ms", "Took, ms", String(repeating: " ", count: Self.barWidth), "Step", "Outcome")
        let end = rows.map(\.span.end).reduce(record.duration.milliseconds, max)
        var steps: [String] = []
        for verb in rows.map(\.verb).uniqueNeighbours {
            let room = Self.stepWidth - verb.displayWidth - 1
            let subjects = rows.filter { $0.verb == verb }.map { style.safe($0.subject) }
            steps += style.shortened(subjects, to: room).map { $0.isEmpty ? verb : "\(verb) \($0)" }
        }
        return [title] + zip(rows, steps).map { draw($0, step: $1, axis: end) }
    }

    private func draw(_ row: TimelineRow, step: String, axis: Double) -> String {
        let isKnown = row.kind != .unfinished
        return line(
            isKnown ? number(row.span.offset) : "?", isKnown ? number(row.span.duration) : "?",
            bar(row, axis: axis), step, style.safe(row.outcome))
    }

    private func line(_ start: String, _ duration: String, _ bar: String, _ step: String, _ outcome: String)
        -> String
    {
        let numbers = [start, duration].map { $0.padded(to: Self.numberWidth, .right) }.joined(separator: " ")
        let name = style.shortened(step, to: Self.stepWidth).padded(to: Self.stepWidth)
        return numbers + " " + style.border + bar + style.border + " " + name + " "
            + outcome.prefix(columns: Self.outcomeWidth)
    }

    private func number(_ milliseconds: Double) -> String {
        let text = fixedPoint(milliseconds)
        guard text.count > Self.numberWidth else { return text }
        let whole = text.prefix { $0 != "." }
        return whole.count > Self.numberWidth ? ">" + whole.prefix(Self.numberWidth - 1) : String(whole)
    }

    /// In proportion, and at least one mark.
    private func bar(_ row: TimelineRow, axis: Double) -> String {
        func position(_ offset: Double, _ rule: FloatingPointRoundingRule) -> Int {
            // Written so that a quotient that is not a number, of an edited file, is 0.
            let fraction = offset / axis
            return Int(((fraction > 0 ? min(fraction, 1) : 0) * Double(Self.barWidth)).rounded(rule))
        }
        let start = min(position(row.span.offset, .down), Self.barWidth - 1)
        let end = max(position(row.span.end, .up), start + 1)
        let mark = row.kind == .frozen ? style.heavyBar : style.bar
        return String(repeating: " ", count: start) + String(repeating: mark, count: end - start)
            + String(repeating: " ", count: Self.barWidth - end)
    }
}

extension [String] {
    /// The values, of equal ones that follow each other only the first.
    fileprivate var uniqueNeighbours: [String] {
        reduce(into: []) { values, value in if values.last != value { values.append(value) } }
    }
}
