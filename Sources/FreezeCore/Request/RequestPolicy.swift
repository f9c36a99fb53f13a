/// The limits and choices a request is run with. Their defaults are the configuration's, too.
public struct RequestPolicy: Sendable, Hashable {
    /// What becomes of a request when a hook fails or is refused.
    public enum HookFailure: String, Sendable, Hashable, CaseIterable {
        /// The request fails.
        case abort
        /// It goes on, at the level `filesystem` at best.
        case proceed = "continue"
    }

    /// Requests are planned and answered, but no hook is run and nothing is frozen.
    public var isDryRun = false
    /// Whether the state is published to the host.
    public var publishesState = false
    /// From the request to a plan with every filesystem opened.
    public var planTimeout = Duration.seconds(10)
    /// Each of the two flushes.
    public var flushTimeout = Duration.seconds(60)
    /// How long a write of a sleeping task may make no progress before the request fails; also the limit of one look
    /// for such tasks.
    public var writeHolderPatience = Duration.seconds(2)
    /// How long the record of a request waits for the names of processes that keep a filesystem stuck.
    public var stuckHolderLimit = Duration.seconds(3)
    /// One hook, one phase.
    public var hookTimeout = Duration.seconds(30)
    /// All hooks of one phase.
    public var hooksTotalTimeout = Duration.seconds(120)
    public var onHookFailure = HookFailure.abort
    /// From the first FIFREEZE until all filesystems are frozen. Also the limit of the flush before it, while session
    /// hooks hold.
    public var freezeTimeout = Duration.seconds(10)
    /// From the first FIFREEZE to the last FITHAW.
    public var maxWindow = Duration.seconds(60)
    /// The rules of each channel, by the name of the channel. A name that is not here gets the default rules.
    public var channels = ChannelRules.all
    /// The part of a channel's limit for FREEZE that is left when an unfinished FREEZE is given up: for the end of the
    /// running hook, or for the thaw, step by step and with a take-over.
    public var freezeAnswerReserve = Duration.seconds(30)
    /// How long the freezer may stay silent when it should thaw, before the daemon thaws in its place.
    public var freezerPatience = Duration.seconds(2)
    /// The wait for the daemon's own thaw, after which a filesystem counts as stuck.
    public var takeoverPatience = Duration.seconds(5)
    /// The same if only hanging FIFREEZEs are left: the thaw of the other filesystems releases most of them at once.
    /// The rest may hang for hours, and the host does not wait.
    public var hangingFreezePatience = Duration.seconds(1)
    /// Grace for a hook's group kill, on top of its timeout.
    public var hookKillGrace = Duration.seconds(10)
    /// From the release of the session hooks until all have ended; counts towards the answer to THAW.
    public var sessionReleaseTimeout = Duration.seconds(10)
    /// A thaw hook is given at least this, even when the others used up the budget: each is called (P4).
    public var minimumThawHookTimeout = Duration.seconds(5)
    /// The number of attempts to start a thaw hook: the thaw call is still outstanding (P4).
    public var thawHookAttempts = 3
    /// The pause before the next attempt: memory or processes may be available again.
    public var thawHookRetryPause = Duration.milliseconds(500)
    /// How often the mount table may change under a request before it fails.
    public var maximumReplans = 3

    public init() {}

    public func rules(of channel: ChannelID) -> ChannelRules { channels[channel.name] ?? ChannelRules() }

    /// The shortest limit of any channel for FREEZE, which has to hold the longest FREEZE; nil for no limit.
    public var shortestFreezeAnswerLimit: Duration? { channels.values.compactMap(\.freezeAnswerLimit).min() }

    /// The longest that a FREEZE can take by these limits: planning, two flushes, the hooks, the flush while session
    /// hooks hold, and the freezing.
    public var longestFreeze: Duration {
        planTimeout + flushTimeout + flushTimeout + hooksTotalTimeout + freezeTimeout + freezeTimeout
    }
}
