import SystemPackage

/// What a crashed daemon's life left, after its filesystems were thawed.
public struct Leftover: Hashable, Sendable {
    public let requestID: RequestID
    public let channel: ChannelID
    /// Hooks that were started and not called for thaw, in the order of their thaw.
    public let hooksOwedThaw: [PlannedHook]
    /// Mount points whose FIFREEZE has still not returned.
    public let stuck: [FilePath]
    /// How good the snapshot is, if the THAW had been answered with success.
    public let level: ConsistencyLevel?
    /// Whether `quiescectl recover --force` had ended the request before the daemon ended.
    public let isEndedByHand: Bool

    public init(
        requestID: RequestID, channel: ChannelID, hooksOwedThaw: [PlannedHook], stuck: [FilePath],
        level: ConsistencyLevel? = nil, isEndedByHand: Bool = false
    ) {
        self.isEndedByHand = isEndedByHand
        self.level = level
        self.requestID = requestID
        self.channel = channel
        self.hooksOwedThaw = hooksOwedThaw
        self.stuck = stuck
    }
}
