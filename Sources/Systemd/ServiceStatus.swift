import FreezeCore

/// The line that `systemctl status` shows of the daemon. Pure.
struct ServiceStatus {
    private var state = "Starting: thawing filesystems that the previous instance left frozen."
    private var lastEnd: String?

    var text: String { [state, lastEnd].compactMap(\.self).joined(separator: " ") }

    /// - Returns: Whether the line is another now.
    mutating func update(with progress: RequestProgress) -> Bool {
        let before = text
        switch progress.event {
        case .entered(let entered): state = Self.words(for: entered, progress)
        case .finished(let record): lastEnd = Self.words(for: record)
        case .planned, .flushed, .hookStarted, .hookEnded, .froze, .thawed, .failed: break
        }
        return text != before
    }

    private static func words(for state: RequestState, _ progress: RequestProgress) -> String {
        switch state {
        case .recovering: return "Thawing filesystems that the previous instance left frozen."
        case .idle: return "Waiting for a request."
        case .stopped: return "Stopped."
        case .planning, .flushing, .freezeHooks, .flushingAgain, .checking, .sessionHooks,
            .flushingLast, .freezing, .verifying, .frozen,
            .rehearsing, .holding, .thawing, .releasing, .thawHooks:
            let word = state.rawValue.prefix(1).uppercased() + state.rawValue.dropFirst()
            guard let request = progress.request, let channel = progress.channel else { return "\(word)." }
            return "\(word): request \(request) of \(channel)."
        }
    }

    private static func words(for record: RequestRecord) -> String {
        let outcome: String
        switch record.result {
        case .succeeded where record.isDryRun: outcome = "a dry run, succeeded"
        case .succeeded:
            let details = [record.level.map { "level \($0)" }, record.options.purpose].compactMap(\.self)
            outcome = (["succeeded"] + details).joined(separator: ", ")
        case .failed: outcome = "failed" + (record.reason.map { ": \($0)" } ?? "")
        }
        // One line, and no longer than systemctl shows without folding it much.
        return "Last: \(record.id) \(escapedControlCharacters(outcome).prefix(300))."
    }
}
