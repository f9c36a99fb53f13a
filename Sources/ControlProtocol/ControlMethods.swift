import FreezeCore
import History

public struct FreezeParameters: Codable, Hashable, Sendable {
    /// True for a window that belongs to the caller alone, and ends with the caller's connection.
    public var hold: Bool?
    /// The mount points of the filesystems to freeze, escaped as in mountinfo; nil for all.
    public var mountPoints: [String]?
    /// False for a request without hooks.
    public var hooks: Bool?
    /// False for a request that only calls hooks: another agent freezes.
    public var freeze: Bool?
    /// The longest window, in milliseconds; nil for `freeze.max_window`.
    public var window: Double?
    /// True for a request that is never counted as a good backup.
    public var rehearsal: Bool?

    public init(
        hold: Bool? = nil, mountPoints: [String]? = nil, hooks: Bool? = nil, freeze: Bool? = nil,
        window: Double? = nil, rehearsal: Bool? = nil
    ) {
        self.hold = hold
        self.mountPoints = mountPoints
        self.hooks = hooks
        self.freeze = freeze
        self.window = window
        self.rehearsal = rehearsal
    }

    enum CodingKeys: String, CodingKey {
        case hold, hooks, freeze, rehearsal
        case mountPoints = "mount_points"
        case window = "window_ms"
    }
}

public struct FreezeReply: Codable, Hashable, Sendable {
    public var request: String
    /// Milliseconds until the freezer thaws, whatever else happens.
    public var windowLeft: Double
    public var dryRun: Bool
    /// The number of frozen filesystems. Absent from older daemons.
    public var filesystems: Int?
    /// Why the level is not the highest.
    public var reason: String?

    public init(request: String, windowLeft: Double, dryRun: Bool, filesystems: Int? = nil, reason: String?) {
        self.request = request
        self.windowLeft = windowLeft
        self.dryRun = dryRun
        self.filesystems = filesystems
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case request, reason, filesystems
        case windowLeft = "window_left_ms"
        case dryRun = "dry_run"
    }
}

public struct ThawParameters: Codable, Hashable, Sendable {
    /// Also ends the request of another caller, whose backup is lost then.
    public var force: Bool?
    /// The only request to end: if the request is over, the answer is `ConsistencyLost`, whatever is frozen now.
    public var request: String?
    /// Why the caller has no snapshot: the request is recorded as failed, and the thaw hooks get
    /// `QUIESCE_RESULT=failed`.
    public var failure: String?
    /// True for a request that only calls hooks: no other request is ended.
    public var hooksOnly: Bool?

    public init(
        force: Bool? = nil, request: String? = nil, failure: String? = nil, hooksOnly: Bool? = nil
    ) {
        self.force = force
        self.request = request
        self.failure = failure
        self.hooksOnly = hooksOnly
    }

    enum CodingKeys: String, CodingKey {
        case force, request, failure
        case hooksOnly = "hooks_only"
    }
}

public struct ThawReply: Codable, Hashable, Sendable {
    public var request: String?
    public var dryRun: Bool
    /// Why the level is not the highest.
    public var reason: String?

    public init(request: String?, dryRun: Bool, reason: String?) {
        self.request = request
        self.dryRun = dryRun
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case request, reason
        case dryRun = "dry_run"
    }
}

public struct AcknowledgeReply: Codable, Hashable, Sendable {
    /// The hooks that needed attention.
    public var hooks: [String]

    public init(hooks: [String]) {
        self.hooks = hooks
    }
}

public struct AuthenticateParameters: Codable, Hashable, Sendable {
    public var token: String

    public init(token: String) {
        self.token = token
    }
}

public struct HistoryParameters: Codable, Hashable, Sendable {
    /// How many records at most.
    public var limit: Int?

    public init(limit: Int?) {
        self.limit = limit
    }
}

public struct HistoryReply: Codable, Hashable, Sendable {
    public var records: [RequestRecord]

    public init(records: [RequestRecord]) {
        self.records = records
    }
}

public struct MonitorReply: Codable, Hashable, Sendable {
    /// Nil in the first reply, which says that the subscription stands.
    public var event: ControlEvent?

    public init(event: ControlEvent?) {
        self.event = event
    }
}
