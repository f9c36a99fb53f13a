import FreezeCore
import History
import Hooks
import LinuxCalls
import Presentation

/// What a rehearsal came to, for a terminal.
struct RehearsalText {
    private let result: HookRehearsal.Result
    private let style: TextStyle

    init(_ result: HookRehearsal.Result, style: TextStyle) {
        self.result = result
        self.style = style
    }

    /// Each call with what the hook wrote, and then the verdict.
    var lines: [String] {
        let calls = TextTable(
            [.init("PHASE"), .init("OUTCOME"), .init("TOOK, MS", .right)],
            rows: result.calls.map { call in
                [call.phase.rawValue, outcome(of: call), fixedPoint(call.duration.milliseconds)]
                    .map { style.safe($0) }
            })
        return calls.lines + result.calls.flatMap(outputLines) + [""]
            + style.safe(verdict).wrapped(to: TextLayout.width)
    }

    private func outcome(of call: HookRun) -> String {
        call.outcome.isSkipped ? "skipped" : call.outcome.failureClause ?? "ok"
    }

    private func outputLines(_ call: HookRun) -> [String] {
        guard !call.output.isEmpty else { return [] }
        let note = call.isOutputTruncated ? " (not all of it)" : ""
        let lines = call.output.split(whereSeparator: \.isNewline).map { line in
            "    "
                + style.safe(
                    line.split(separator: "\t", omittingEmptySubsequences: false).joined(separator: "    "))
        }
        return ["", "Output of \(call.phase.rawValue)\(note):"] + lines
    }

    private var verdict: String {
        let name = result.hook.name
        if result.wasInterrupted { return "The rehearsal was interrupted." }
        guard result.succeeded else { return "A backup would fail, or be worth less, because of \(name)." }
        for case .skipped(let reason) in result.calls.map(\.outcome) {
            let because = reason.isEmpty ? "" : ": \(reason)"
            return "\(name) had no work, so a backup does not reach the level application by it\(because)"
        }
        return "\(name) does what a backup needs of it."
    }
}

/// The same for programs. Each call has the shape it has in the history.
struct RehearsalDocument: Encodable {
    let hook: String
    let requestID: String
    let succeeded: Bool
    let interrupted: Bool
    private let calls: [HookRun]

    private enum CodingKeys: String, CodingKey {
        case hook
        case requestID = "request_id"
        case succeeded, interrupted, calls
    }

    init(_ result: HookRehearsal.Result) {
        hook = escapedControlCharacters(result.hook.name)
        requestID = result.requestID.text
        succeeded = result.succeeded
        interrupted = result.wasInterrupted
        calls = result.calls
    }

    func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(hook, forKey: .hook)
        try members.encode(requestID, forKey: .requestID)
        try members.encode(succeeded, forKey: .succeeded)
        try members.encode(interrupted, forKey: .interrupted)
        try members.encode(calls, forKey: .calls, since: calls.first?.started ?? .now)
    }
}
