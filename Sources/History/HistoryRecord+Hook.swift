import FreezeCore

/// A call of a hook in the file: the outcome is spread over several members.
extension HistoryRecord.Hook: Codable {
    private enum CodingKeys: String, CodingKey {
        case name, phase
        case offset = "offset_ms"
        case duration = "duration_ms"
        case outcome, status, skipped, signal, killed, abandoned, problem, output
        case outputTruncated = "output_truncated"
    }

    /// The member `outcome`. Older readers reject other values.
    private enum Ending: String, Codable {
        /// With `status`; and with `skipped` for a hook without work.
        case exited
        case ready
        /// With `killed` at the timeout.
        case neverReady = "never_ready"
        /// With `signal`.
        case signalled
        /// With `abandoned` if the hook survived SIGKILL.
        case timedOut = "timed_out"
        /// With `problem`.
        case notStarted = "not_started"
    }

    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        name = try members.decode(String.self, forKey: .name)
        phase = try members.decode(String.self, forKey: .phase)
        offset = try members.decode(Double.self, forKey: .offset)
        duration = try members.decode(Double.self, forKey: .duration)
        output = try members.decodeIfPresent(String.self, forKey: .output)
        outputTruncated = try members.decodeIfPresent(Bool.self, forKey: .outputTruncated)
        func isSet(_ key: CodingKeys) throws -> Bool {
            try members.decodeIfPresent(Bool.self, forKey: key) == true
        }
        func number(_ key: CodingKeys) throws -> Int32? { try members.decodeIfPresent(Int32.self, forKey: key) }
        switch try members.decode(Ending.self, forKey: .outcome) {
        case .exited: outcome = try isSet(.skipped) ? .skipped(reason: "") : .exited(status: number(.status) ?? -1)
        case .ready: outcome = .ready
        case .neverReady: outcome = .neverReady(timedOut: try isSet(.killed))
        case .signalled: outcome = .signalled(signal: try number(.signal) ?? 0)
        case .timedOut: outcome = .timedOut(abandoned: try isSet(.abandoned))
        case .notStarted:
            let problem = try members.decodeIfPresent(String.self, forKey: .problem)
            outcome = .notStarted(reason: problem ?? "no reason is recorded")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(name, forKey: .name)
        try members.encode(phase, forKey: .phase)
        try members.encode(offset, forKey: .offset)
        try members.encode(duration, forKey: .duration)
        try members.encodeIfPresent(output, forKey: .output)
        try members.encodeIfPresent(outputTruncated, forKey: .outputTruncated)
        func write(_ ending: Ending) throws { try members.encode(ending, forKey: .outcome) }
        func mark(_ key: CodingKeys, if isSet: Bool) throws { if isSet { try members.encode(true, forKey: key) } }
        switch outcome {
        case .exited(let status):
            try write(.exited)
            try members.encode(status, forKey: .status)
        case .skipped:
            try write(.exited)
            try members.encode(0, forKey: .status)
            try mark(.skipped, if: true)
        case .ready:
            try write(.ready)
        case .neverReady(let timedOut):
            try write(.neverReady)
            try mark(.killed, if: timedOut)
        case .signalled(let signal):
            try write(.signalled)
            try members.encode(signal, forKey: .signal)
        case .timedOut(let abandoned):
            try write(.timedOut)
            try mark(.abandoned, if: abandoned)
        case .notStarted(let reason):
            try write(.notStarted)
            try members.encode(reason, forKey: .problem)
        }
    }
}
