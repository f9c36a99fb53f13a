import SystemPackage

/// The published facts of a finished request.
public struct RequestDigest: Hashable, Sendable {
    public let id: RequestID
    public let channel: ChannelID
    public let ended: WallTime
    public let result: RequestRecord.Result
    public let isLost: Bool
    public let level: ConsistencyLevel?
    /// Nil if no filesystem was frozen.
    public let window: Duration?
    /// Nil for a backup of the whole machine.
    public let purpose: String?
    public let reason: String?
    /// Filesystems that were left out of the plan or are in no mount table, with control characters escaped.
    public let leftOut: [String]

    public init(_ record: RequestRecord) {
        id = record.id
        channel = record.channel
        ended = record.endedWallTime
        result = record.result
        isLost = record.isLost
        level = record.level
        window = record.window
        purpose = record.purpose
        reason = record.reason
        leftOut =
            record.filesystems.filter(\.isLeftOut).map(\.mountPoint.escaped)
            + record.unreachable.map { escapedControlCharacters($0.summary) }
    }
}
