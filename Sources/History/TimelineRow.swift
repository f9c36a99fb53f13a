import FreezeCore
import LinuxCalls

/// A stretch of time, in milliseconds from the start of the request.
struct TimelineSpan {
    var offset: Double
    var duration: Double

    var end: Double { offset + duration }
}

/// One row of a timeline: a step, or what is left of a group of many.
struct TimelineRow {
    enum Kind: Hashable {
        case step
        /// When it began is not known: it has not come back.
        case unfinished
        case frozen
    }

    var kind = Kind.step
    var span: TimelineSpan
    /// What was done: `freeze`.
    var verb: String
    /// To what; may be shortened.
    var subject = ""
    /// `ok`, an errno, …
    var outcome = "ok"
    var hasFailed = false

    init(
        _ verb: String, _ subject: String = "", _ span: TimelineSpan, kind: Kind = .step,
        failure: String? = nil
    ) {
        self.kind = kind
        self.span = span
        self.verb = verb
        self.subject = subject
        outcome = failure ?? "ok"
        hasFailed = failure != nil
    }

    /// What has no known beginning comes last in its group.
    var sortKey: Double { kind == .unfinished ? .infinity : span.offset }
}

extension RequestRecord {
    /// The rows of the timeline, in order of time.
    var timelineRows: [TimelineRow] {
        let flushes = flushRows
        let groups = [
            grouped(flushes.first), rows(freezeHooks(.plain)), grouped(flushes.second),
            rows(freezeHooks(.session)),
            grouped(flushes.last), grouped(freezeRows), frozenRows, grouped(thawRows),
            rows(hooks.filter { $0.phase == .thaw }),
        ]
        return groups.flatMap(\.self)
    }

    /// More rows than this of one kind tell nobody anything.
    private static let rowsInGroup = 6

    /// The rows in order; of many, those that failed or took longest, and one for the others.
    private func grouped(_ rows: [TimelineRow], limit: Int = rowsInGroup) -> [TimelineRow] {
        let ordered = rows.enumerated().sorted {
            ($0.element.sortKey, $0.offset) < ($1.element.sortKey, $1.offset)
        }.map(\.element)
        guard ordered.count > limit, let verb = ordered.first?.verb else { return ordered }
        let weight: (TimelineRow) -> Double = { $0.hasFailed ? .infinity : $0.span.duration }
        let indices = Set(Array(ordered.indices).mostTelling(limit - 1) { weight(ordered[$0]) })
        let others = ordered.indices.filter { !indices.contains($0) }.map { ordered[$0] }
        let start = others.map(\.span.offset).min() ?? 0
        let end = others.map(\.span.end).max() ?? start
        let failed = others.count(where: \.hasFailed)
        let summary = TimelineRow(
            verb, "\(others.count) others", TimelineSpan(offset: start, duration: end - start),
            failure: failed > 0 ? "\(failed) failed" : nil)
        return indices.sorted().map { ordered[$0] } + [summary]
    }

    // MARK: Groups

    /// By the moment: before the hooks, after the plain ones, and under the session hooks.
    private var flushRows: (first: [TimelineRow], second: [TimelineRow], last: [TimelineRow]) {
        let plain = freezeHooks(.plain).map(\.started).min()
        let session = freezeHooks(.session).map(\.started).min()
        var rows: (first: [TimelineRow], second: [TimelineRow], last: [TimelineRow]) = ([], [], [])
        for filesystem in filesystems {
            for (index, flush) in filesystem.flushes.enumerated() {
                let isLast = session.map { flush.started >= $0 } ?? false
                let isSecond = plain.map { flush.started >= $0 } ?? (index > 0)
                let row = TimelineRow(
                    isLast ? "flush last" : isSecond ? "flush again" : "flush", filesystem.mountPoint.escaped,
                    span(flush), failure: flush.error?.symbolicName)
                if isLast {
                    rows.last.append(row)
                } else if isSecond {
                    rows.second.append(row)
                } else {
                    rows.first.append(row)
                }
            }
        }
        return rows
    }

    private func freezeHooks(_ kind: HookKind) -> [HookRun] {
        hooks.filter { $0.phase == .freeze && HookKind(hookName: $0.name) == kind }
    }

    private func rows(_ hooks: [HookRun]) -> [TimelineRow] {
        let rows = hooks.map { hook in
            var row = TimelineRow(
                "hook \(hook.phase.rawValue)", hook.name, span(from: hook.started, lasting: hook.duration),
                failure: hook.outcome.failureWord)
            if hook.outcome.isSkipped { row.outcome = "skipped" }
            return row
        }
        return grouped(rows, limit: 20)
    }

    private var freezeRows: [TimelineRow] {
        filesystems.sorted { ($0.step ?? 0) < ($1.step ?? 0) }.compactMap { filesystem in
            if let freeze = filesystem.freeze {
                return TimelineRow(
                    "freeze", filesystem.mountPoint.escaped, span(freeze), failure: freeze.error?.symbolicName)
            }
            guard filesystem.isStuck, let windowSpan else { return nil }
            return TimelineRow(
                "freeze", filesystem.mountPoint.escaped, windowSpan, kind: .unfinished, failure: "STUCK")
        }
    }

    /// From the answer, which allows the host to take its snapshot, to the first thaw.
    private var frozenRows: [TimelineRow] {
        guard let answered, isAnsweredWithSuccess, let windowSpan else { return [] }
        let end = firstThaw ?? windowSpan.end
        let offset = (answered - started).milliseconds
        let span = TimelineSpan(offset: offset, duration: max(0, end - offset))
        return [TimelineRow("FROZEN", "", span, kind: .frozen, failure: isLost ? "LOST" : nil)]
    }

    private var thawRows: [TimelineRow] {
        filesystems.sorted { ($0.step ?? 0) > ($1.step ?? 0) }.compactMap { filesystem in
            if let thaw = filesystem.thaw {
                return TimelineRow(
                    "thaw", filesystem.mountPoint.escaped, span(thaw), failure: thaw.error?.symbolicName)
            }
            guard filesystem.isStuck, filesystem.freeze != nil, let windowSpan else { return nil }
            let start = min(firstThaw ?? windowSpan.end, windowSpan.end)
            return TimelineRow(
                "thaw", filesystem.mountPoint.escaped,
                TimelineSpan(offset: start, duration: windowSpan.end - start), kind: .unfinished, failure: "STUCK")
        }
    }

    private var firstThaw: Double? {
        filesystems.compactMap { $0.thaw?.started }.min().map { ($0 - started).milliseconds }
    }

    private var windowSpan: TimelineSpan? {
        guard let windowOpened, let window else { return nil }
        return span(from: windowOpened, lasting: window)
    }

    private func span(_ result: TimedResult) -> TimelineSpan {
        span(from: result.started, lasting: result.duration)
    }

    private func span(from moment: Moment, lasting duration: Duration) -> TimelineSpan {
        TimelineSpan(offset: (moment - started).milliseconds, duration: duration.milliseconds)
    }
}

extension HookOutcome {
    /// What went wrong, in a word or two; nil if nothing.
    public var failureWord: String? {
        switch self {
        case .exited(status: 0), .skipped, .ready: nil
        case .exited(let status): "exit \(status)"
        case .neverReady: "NOT READY"
        case .signalled(let signal): "signal \(signal)"
        case .timedOut: "TIMED OUT"
        case .notStarted: "NOT RUN"
        }
    }
}
