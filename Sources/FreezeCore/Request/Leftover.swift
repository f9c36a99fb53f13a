import SystemPackage

/// The outcome of a window that was good to its end.
public enum WindowOutcome: Hashable, Sendable {
    /// All filesystems were frozen.
    case snapshot(ConsistencyLevel)
    /// Only hooks were called: another agent froze.
    case hooksHeld

    public var level: ConsistencyLevel? {
        if case .snapshot(let level) = self { level } else { nil }
    }
}

/// The remains of a crashed daemon's request, after the thaw.
public struct Leftover: Hashable, Sendable {
    public let requestID: RequestID
    public let channel: ChannelID
    /// Kept in the ledger, so that a rehearsal does not count as a backup.
    public let options: FreezeOptions
    /// Hooks that were started and not called for thaw, in the order of their thaw.
    public let hooksOwedThaw: [PlannedHook]
    /// Mount points whose FIFREEZE has still not returned.
    public let stuck: [FilePath]
    /// The end of the window; nil unless THAW had been answered with success.
    public let outcome: WindowOutcome?
    /// Whether `quiescectl recover --force` had ended the request before the daemon ended.
    public let isEndedByHand: Bool

    public init(
        requestID: RequestID, channel: ChannelID, options: FreezeOptions = FreezeOptions(),
        hooksOwedThaw: [PlannedHook], stuck: [FilePath], outcome: WindowOutcome? = nil, isEndedByHand: Bool = false
    ) {
        self.requestID = requestID
        self.channel = channel
        self.options = options
        self.hooksOwedThaw = hooksOwedThaw
        self.stuck = stuck
        self.outcome = outcome
        self.isEndedByHand = isEndedByHand
    }
}
