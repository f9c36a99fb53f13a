import FreezeCore
import History
import Hooks

/// A hook for programs: an element of what `quiescectl hooks list --json` prints. The keys are stable: they are added
/// to, never renamed or given another meaning.
struct HookDocument: Encodable {
    /// From 1: the order of freeze; thaw goes the other way.
    let order: Int
    let name: String
    let path: String
    /// `plain` or `session`.
    let kind: String
    let trusted: Bool
    /// Why it is not trusted, and what to do about it. Null if it is.
    let reason: String?
    /// Of each call, in milliseconds.
    let timeout: Int64
    /// `abort` or `continue`: what becomes of a request when the hook fails.
    let onFailure: String
    /// Null if no request that is remembered called it.
    let last: Last?

    /// - Parameter policy: The limits of all hooks.
    init(_ candidate: HookCandidate, order: Int, policy: RequestPolicy, last: Last?) {
        self.order = order
        name = escapedControlCharacters(candidate.hook.name)
        path = candidate.hook.path.escaped
        kind = candidate.hook.kind == .session ? "session" : "plain"
        if case .refused(let reason) = candidate.verdict {
            self.reason = escapedControlCharacters(reason)
        } else {
            reason = nil
        }
        trusted = reason == nil
        let timeout = candidate.hook.timeout ?? policy.hookTimeout
        self.timeout = min(timeout, policy.hooksTotalTimeout).nanoseconds / 1_000_000
        onFailure = (candidate.hook.onFailure ?? policy.onHookFailure).rawValue
        self.last = last
    }

    private enum CodingKeys: String, CodingKey {
        case order, name, path, kind, trusted, reason
        case timeout = "timeout_ms"
        case onFailure = "on_failure"
        case last
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(order, forKey: .order)
        try container.encode(name, forKey: .name)
        try container.encode(path, forKey: .path)
        try container.encode(kind, forKey: .kind)
        try container.encode(trusted, forKey: .trusted)
        // Written as null, too: a key that is always there is easier to rely on.
        try container.encode(reason, forKey: .reason)
        try container.encode(timeout, forKey: .timeout)
        try container.encode(onFailure, forKey: .onFailure)
        try container.encode(last, forKey: .last)
    }
}

extension HookDocument {
    /// The calls of one hook in the last request that called it; each in the shape of the history.
    struct Last: Encodable {
        private let record: RequestRecord
        private let calls: [HookRun]

        private enum CodingKeys: String, CodingKey {
            case requestID = "request_id"
            case started, calls
        }

        /// - Parameter records: the newest first.
        init?(of name: String, in records: [RequestRecord]) {
            // Names are escaped in the file.
            let escaped = escapedControlCharacters(name)
            guard let record = records.first(where: { $0.hooks.contains { $0.name == escaped } }) else {
                return nil
            }
            self.record = record
            calls = record.hooks.filter { $0.name == escaped }
        }

        func encode(to encoder: any Encoder) throws {
            var members = encoder.container(keyedBy: CodingKeys.self)
            try members.encode(record.id.text, forKey: .requestID)
            try members.encode(record.clock.wallTime, forKey: .started)
            try members.encode(calls, forKey: .calls, since: record.started)
        }

        /// The call that tells most: the first that failed, else the one for freeze.
        private var telling: HookRun? {
            calls.first { !$0.outcome.succeeded } ?? calls.first { $0.phase == .freeze } ?? calls.first
        }

        var duration: Duration { telling?.duration ?? .zero }

        /// In a word or two.
        var summary: String {
            guard let failure = telling?.outcome.failureWord else {
                return telling?.outcome.isSkipped == true ? "skipped" : "ok"
            }
            return telling?.phase == .thaw ? "thaw: \(failure)" : failure
        }
    }
}
