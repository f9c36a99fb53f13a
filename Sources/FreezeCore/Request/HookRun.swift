/// Which half of the cycle a hook is called for; also its first argument.
public enum HookPhase: String, Sendable, Hashable, CaseIterable {
    case freeze
    case thaw
}

/// How a hook takes part, told apart by its name.
public enum HookKind: String, Sendable, Hashable {
    /// `NN-name`: called with `freeze`, later with `thaw`.
    case plain
    /// `NN-name.session`: started once and held through the window.
    case session

    /// Imported hooks, which have a slash in their names, are plain.
    public init(hookName: String) {
        self = hookName.hasSuffix(".session") && !hookName.contains("/") ? .session : .plain
    }
}

/// How one call of a hook ended.
public enum HookOutcome: Hashable, Sendable {
    case exited(status: Int32)
    /// Called for freeze, the hook had no work: its output has the line `SKIP` or `SKIP reason`, and its exit status is 0.
    /// The reason is empty if the hook gave none.
    case skipped(reason: String)
    /// A session hook has said READY: it holds what it is to hold, and runs on.
    case ready
    /// A session hook ended without having said READY: by itself, or because its time was up.
    case neverReady(timedOut: Bool)
    case signalled(signal: Int32)
    /// It did not end within its budget: its process group was sent TERM, then KILL. `abandoned` when not even
    /// that ended it (it hangs in the kernel) and it was left behind.
    case timedOut(abandoned: Bool)
    /// It never ran: the exec failed.
    case notStarted(reason: String)

    /// True if a freeze after this call covers the hook's application.
    public var didWork: Bool { self == .exited(status: 0) || self == .ready }

    public var isSkipped: Bool { if case .skipped = self { true } else { false } }

    public var isNotStarted: Bool { if case .notStarted = self { true } else { false } }

    public var succeeded: Bool { failureClause == nil }

    /// What went wrong, to follow the hook's name; nil if nothing.
    public var failureClause: String? {
        switch self {
        case .exited(status: 0), .skipped, .ready: nil
        case .exited(let status): "exited with status \(status)"
        case .neverReady(timedOut: false): "ended without having said READY"
        case .neverReady(timedOut: true): "did not say READY within its timeout and was killed"
        case .signalled(let signal): "was ended by signal \(signal)"
        case .timedOut(abandoned: false): "did not end within its timeout and was killed"
        case .timedOut(abandoned: true): "did not end within its timeout and could not be killed"
        case .notStarted(let reason): "could not be started: \(reason)"
        }
    }
}

/// One call of a hook, as it goes into the report.
public struct HookRun: Hashable, Sendable {
    public let name: String
    public let phase: HookPhase
    public let outcome: HookOutcome
    /// Standard output and standard error, in the order they came, capped.
    public let output: String
    public let isOutputTruncated: Bool
    public let started: Moment
    public let duration: Duration

    public init(
        name: String, phase: HookPhase, outcome: HookOutcome, output: String, isOutputTruncated: Bool,
        started: Moment, duration: Duration
    ) {
        self.name = name
        self.phase = phase
        self.outcome = outcome
        self.output = output
        self.isOutputTruncated = isOutputTruncated
        self.started = started
        self.duration = duration
    }
}
