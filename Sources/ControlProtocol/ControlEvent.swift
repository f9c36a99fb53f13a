import FreezeCore
import History

/// Something that a request got to, as `Monitor` replies it.
public struct ControlEvent: Codable, Hashable, Sendable {
    public enum Kind: String, Codable, Hashable, Sendable, CaseIterable {
        case state
        case planned
        case flushed
        case hookStarted = "hook_started"
        case hookEnded = "hook_ended"
        case froze
        case thawed
        case failed
        case finished
    }

    public var time: WallTime
    public var request: String?
    public var channel: String?
    public var kind: Kind
    public var state: ControlState?
    public var mountPoint: String?
    public var hook: String?
    public var phase: String?
    public var duration: Double?
    /// What went wrong, in a clause; nil if nothing.
    public var problem: String?
    /// True for a hook without work: it said `SKIP`.
    public var skipped: Bool?
    /// How many filesystems the plan freezes, syncs and skips.
    public var freeze: Int?
    public var sync: Int?
    public var skip: Int?
    public var hooks: [String]?
    /// The whole request, when it is over.
    public var record: RequestRecord?

    init(time: WallTime, request: String?, channel: String?, kind: Kind) {
        self.time = time
        self.request = request
        self.channel = channel
        self.kind = kind
    }

    enum CodingKeys: String, CodingKey {
        case time, request, channel, kind, state, hook, phase, problem, skipped, freeze, sync, skip, hooks, record
        case mountPoint = "mount_point"
        case duration = "duration_ms"
    }
}
