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
    public let last: RequestRecord?
    /// The last good backup.
    public let lastGood: RequestRecord?

    public init(
        overview: RequestOverview, started: Moment, isFreezerReady: Bool, channels: [Channel],
        last: RequestRecord?,
        lastGood: RequestRecord?
    ) {
        self.overview = overview
        self.started = started
        self.isFreezerReady = isFreezerReady
        self.channels = channels
        self.last = last
        self.lastGood = lastGood
    }
}
