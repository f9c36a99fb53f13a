/// Everything `status` shows of a running daemon.
public struct DaemonStatus: Hashable, Sendable {
    /// A way in for requests, and how it is doing, in words.
    public struct Channel: Hashable, Sendable {
        public let name: String
        public let state: String
        /// Whether requests can come.
        public let isRegistered: Bool

        public init(name: String, state: String, isRegistered: Bool) {
            self.isRegistered = isRegistered
            self.name = name
            self.state = state
        }
    }

    public let overview: RequestOverview
    /// When the daemon began to run.
    public let started: Moment
    public let isFreezerReady: Bool
    public let channels: [Channel]
    /// The last request, whatever came of it, a dry run too; nil until one was made, or the history is read.
    public let last: PastRequest?
    /// The last that succeeded.
    public let lastGood: PastRequest?

    public init(
        overview: RequestOverview, started: Moment, isFreezerReady: Bool, channels: [Channel], last: PastRequest?,
        lastGood: PastRequest?
    ) {
        self.overview = overview
        self.started = started
        self.isFreezerReady = isFreezerReady
        self.channels = channels
        self.last = last
        self.lastGood = lastGood
    }
}

/// A request that is over, in short.
public struct PastRequest: Hashable, Sendable {
    public let id: String
    public let channel: String
    /// Before this boot it may lie below zero.
    public let ended: Moment
    public let succeeded: Bool
    public let level: String?
    /// The hooks that did their work before the freeze.
    public let workingHooks: [String]
    public let reason: String?
    public let isDryRun: Bool
    /// What the request was besides a backup of the whole machine, in a few words; nil for such a backup.
    public let purpose: String?

    public init(
        id: String, channel: String, ended: Moment, succeeded: Bool, level: String?,
        workingHooks: [String], reason: String?, isDryRun: Bool, purpose: String? = nil
    ) {
        self.id = id
        self.channel = channel
        self.ended = ended
        self.succeeded = succeeded
        self.level = level
        self.workingHooks = workingHooks
        self.reason = reason
        self.isDryRun = isDryRun
        self.purpose = purpose
    }
}
