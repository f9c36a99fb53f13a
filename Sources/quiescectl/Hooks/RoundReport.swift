import FoundationEssentials
import FreezeCore
import Glibc
import History
import Hooks
import Ledger
import LinuxCalls
import Presentation
import SystemPackage

/// What came of a round of hooks for another agent; for people, for programs, and for `hooks thaw`, which gets it in a
/// file from the process that held them.
struct RoundReport: Codable {
    let requestID: String
    /// Why it has failed; null if it has not.
    let failure: String?
    let calls: [HistoryRecord.Hook]

    private enum CodingKeys: String, CodingKey {
        case requestID = "request_id"
        case failure, calls
    }

    init(_ requestID: RequestID, _ calls: [HookRun], failure: String?) {
        self.requestID = requestID.text
        self.failure = failure.map(escapedControlCharacters)
        self.calls = HistoryRecord.Hook.documents(of: calls, in: requestID, channel: ChannelID(name: "hooks"))
    }

    private static func path(in directory: RunDirectory) -> FilePath { directory.path.appending("hooks-report") }

    static func remove(from directory: RunDirectory) { unlink(path(in: directory).string) }

    /// The run directory is root's alone. What cannot be written is missed by whoever reads it.
    func write(to directory: RunDirectory) {
        guard let data = try? JSONEncoder().encode(self),
            let file = try? openDescriptor(
                Self.path(in: directory), .writeOnly, options: [.create, .truncate, .noFollow],
                permissions: .ownerReadWrite)
        else { return }
        try? writeAll(Array(data), to: file)
        try? file.close()
    }

    /// Nil if there is none.
    static func take(from directory: RunDirectory) -> RoundReport? {
        guard let bytes = try? readWholeFile(path(in: directory)) else { return nil }
        remove(from: directory)
        return try? JSONDecoder().decode(RoundReport.self, from: Data(bytes))
    }

    func lines(title: String) -> [String] {
        let style = TextStyle.ofLocale
        if calls.isEmpty && failure == nil { return ["There are no hooks."] }
        let table = TextTable(
            [.init("HOOK", overflow: .cut), .init("PHASE"), .init("OUTCOME"), .init("TOOK, MS", .right)],
            rows: calls.map { call in
                [
                    call.name, call.phase, call.skipped == true ? "skipped" : call.failureClause ?? "ok",
                    fixedPoint(call.duration),
                ].map {
                    style.safe($0)
                }
            })
        let verdict = failure.map { "This round of hooks has failed: \($0)." } ?? title
        return table.lines + [""] + style.safe(verdict).wrapped(to: TextLayout.width)
    }
}

extension HistoryRecord.Hook {
    /// Calls in the shape that they have in the history.
    static func documents(of calls: [HookRun], in requestID: RequestID, channel: ChannelID) -> [HistoryRecord.Hook]
    {
        let clock = WallClock.current()
        var record = RequestRecord(id: requestID, channel: channel, started: calls.first?.started ?? clock.moment)
        record.hooks = calls
        return HistoryRecord(record, clock: clock).hooks
    }
}
