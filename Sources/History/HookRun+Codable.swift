import FreezeCore

/// A call of a hook in the file: the outcome is spread over several members.
extension HookRun: TimedPart {
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

    /// - Parameter start: Of the request.
    public func encode(to encoder: any Encoder, since start: Moment) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(escapedControlCharacters(name), forKey: .name)
        try members.encode(phase.rawValue, forKey: .phase)
        try members.encode(roundedMilliseconds(started - start), forKey: .offset)
        try members.encode(roundedMilliseconds(duration), forKey: .duration)
        let (kept, isCut) = outputTail(output, limit: RecordLimit.output)
        if !kept.isEmpty { try members.encode(kept, forKey: .output) }
        try members.encodeIfTrue(isCut || isOutputTruncated, forKey: .outputTruncated)
        func write(_ ending: Ending) throws { try members.encode(ending, forKey: .outcome) }
        switch outcome {
        case .exited(let status):
            try write(.exited)
            try members.encode(status, forKey: .status)
        case .skipped:
            // The reason is in the record's reason, and in the output.
            try write(.exited)
            try members.encode(0, forKey: .status)
            try members.encode(true, forKey: .skipped)
        case .ready:
            try write(.ready)
        case .neverReady(let timedOut):
            try write(.neverReady)
            try members.encodeIfTrue(timedOut, forKey: .killed)
        case .signalled(let signal):
            try write(.signalled)
            try members.encode(signal, forKey: .signal)
        case .timedOut(let abandoned):
            try write(.timedOut)
            try members.encodeIfTrue(abandoned, forKey: .abandoned)
        case .notStarted(let reason):
            try write(.notStarted)
            try members.encode(escapedControlCharacters(reason), forKey: .problem)
        }
    }

    public init(from decoder: any Decoder, since start: Moment) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func number(_ key: CodingKeys) throws -> Int32? { try members.decodeIfPresent(Int32.self, forKey: key) }
        let outcome: HookOutcome =
            switch try members.decode(Ending.self, forKey: .outcome) {
            case .exited:
                try members.decodeFlag(forKey: .skipped)
                    ? .skipped(reason: "") : .exited(status: number(.status) ?? -1)
            case .ready: .ready
            case .neverReady: .neverReady(timedOut: try members.decodeFlag(forKey: .killed))
            case .signalled: .signalled(signal: try number(.signal) ?? 0)
            case .timedOut: .timedOut(abandoned: try members.decodeFlag(forKey: .abandoned))
            case .notStarted:
                .notStarted(
                    reason: try members.decodeIfPresent(String.self, forKey: .problem) ?? "no reason is recorded")
            }
        self.init(
            name: try members.decode(String.self, forKey: .name),
            phase: try members.decodeRaw(HookPhase.self, forKey: .phase), outcome: outcome,
            output: try members.decodeIfPresent(String.self, forKey: .output) ?? "",
            isOutputTruncated: try members.decodeFlag(forKey: .outputTruncated),
            started: start + (try members.decodeDuration(forKey: .offset)),
            duration: try members.decodeDuration(forKey: .duration))
    }
}

/// The end of the output of a hook, with escaped lines, in at most `limit` bytes of UTF-8.
func outputTail(_ output: String, limit: Int) -> (text: String, isCut: Bool) {
    // Escaping only lengthens, so nothing before this can be kept. A scalar that is cut becomes a mark of its own.
    let raw = String(decoding: output.utf8.suffix(limit), as: UTF8.self)
    let lines = raw.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    let escaped = lines.map { line in
        line.split(separator: "\t", omittingEmptySubsequences: false).map(escapedControlCharacters)
            .joined(separator: "\t")
    }.joined(separator: "\n")
    guard escaped.utf8.count > limit || output.utf8.count > limit else { return (escaped, false) }
    // The first line is most likely a part of one: it begins at the next whole character.
    var tail = escaped.utf8.suffix(limit)
    while let first = tail.first, first & 0xC0 == 0x80 { tail = tail.dropFirst() }
    return (String(decoding: tail, as: UTF8.self), true)
}
