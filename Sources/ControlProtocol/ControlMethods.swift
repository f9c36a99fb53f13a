import FreezeCore
import History

public struct FreezeParameters: Codable, Hashable, Sendable {
    /// The window is the caller's alone, and ends with its connection.
    public var hold: Bool?

    public init(hold: Bool?) {
        self.hold = hold
    }
}

public struct FreezeReply: Codable, Hashable, Sendable {
    public var request: String
    /// Milliseconds until the freezer thaws, whatever else happens.
    public var windowLeft: Double
    public var dryRun: Bool
    /// Why the level is not the highest.
    public var reason: String?

    public init(request: String, windowLeft: Double, dryRun: Bool, reason: String?) {
        self.request = request
        self.windowLeft = windowLeft
        self.dryRun = dryRun
        self.reason = reason
    }

    enum CodingKeys: String, CodingKey {
        case request, reason
        case windowLeft = "window_left_ms"
        case dryRun = "dry_run"
    }
}

public struct ThawParameters: Codable, Hashable, Sendable {
    /// Also if the request is another's, whose backup then is lost.
    public var force: Bool?
    /// Only this request: if it is over, the answer is `ConsistencyLost`, whatever is frozen now.
    public var request: String?
    /// Why the caller has no snapshot: the request is on record as failed then, and its hooks are told so.
    public var failure: String?

    public init(force: Bool?, request: String?, failure: String? = nil) {
        self.force = force
        self.request = request
        self.failure = failure
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

public struct HistoryParameters: Codable, Hashable, Sendable {
    /// How many records at most.
    public var limit: Int?

    public init(limit: Int?) {
        self.limit = limit
    }
}

public struct HistoryReply: Codable, Hashable, Sendable {
    public var records: [HistoryRecord]

    public init(records: [HistoryRecord]) {
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
