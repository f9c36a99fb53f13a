/// What the callers of a channel expect: answer limits, and the meaning of an operation that does not fit.
///
/// The rules belong to the name of a channel, and not to the registration: after a crash of the daemon a THAW can
/// come first. The default is a host that relies on the answers alone, as Hyper-V's.
public struct ChannelRules: Hashable, Sendable {
    /// The meaning of a FREEZE while everything is frozen for the same channel.
    public enum SecondFreeze: Hashable, Sendable, CaseIterable {
        /// The host has given up its first snapshot: the window ends, and FREEZE fails.
        case losesWindow
        /// Another caller: FREEZE fails with `busy`, and the window goes on.
        case busy
        /// A mistake of the caller: FREEZE fails with `failed`, and the window goes on.
        case error
    }

    /// The answer to a THAW without a window.
    public enum ThawWithoutWindow: Hashable, Sendable, CaseIterable {
        /// Failure, and an error in the log: the snapshot of the host may be torn. After a failed FREEZE, success.
        case failure
        /// A refusal that says which: nothing is frozen, or the request of another channel.
        case refusal
        /// Success: nothing is frozen.
        case success
    }

    /// FREEZE is answered within this from its arrival, or not at all; nil for no limit.
    public var freezeAnswerLimit: Duration?
    /// THAW is answered within this from its arrival, with failure if need be; nil for no limit.
    public var thawAnswerLimit: Duration?
    public var secondFreeze: SecondFreeze
    public var thawWithoutWindow: ThawWithoutWindow
    /// True if each connection is a caller of its own, and its window ends with the connection.
    public var endsWindowWithConnection: Bool
    /// True if answers tell the caller of a dry run, which then can answer FREEZE with success. The snapshot of a host
    /// that does not know is no dry run: FREEZE fails.
    public var tellsDryRun: Bool
    /// The longest window of a request; nil for `freeze.max_window` alone.
    public var maxWindow: Duration?

    public init(
        freezeAnswerLimit: Duration? = hyperVFreezeAnswerLimit, thawAnswerLimit: Duration? = .seconds(20),
        secondFreeze: SecondFreeze = .losesWindow, thawWithoutWindow: ThawWithoutWindow = .failure,
        endsWindowWithConnection: Bool = false, tellsDryRun: Bool = false, maxWindow: Duration? = nil
    ) {
        self.freezeAnswerLimit = freezeAnswerLimit
        self.thawAnswerLimit = thawAnswerLimit
        self.secondFreeze = secondFreeze
        self.thawWithoutWindow = thawWithoutWindow
        self.endsWindowWithConnection = endsWindowWithConnection
        self.tellsDryRun = tellsDryRun
        self.maxWindow = maxWindow
    }

    /// The driver gives up after 900 s (VSS_FREEZE_TIMEOUT, drivers/hv/hv_snapshot.c), and takes a late answer for the
    /// answer to its next operation: 30 s are kept free.
    public static let hyperVFreezeAnswerLimit = Duration.seconds(870)

    /// The rules of every channel, by its name.
    static let all = [
        ChannelID.hyperV.name: hyperV, ChannelID.control.name: control, ChannelID.hold(0).name: hold,
        ChannelID.hooks.name: hooks,
    ]

    /// Hyper-V's VSS device. The host gives up after 30 s for THAW: 10 s are kept free.
    public static let hyperV = ChannelRules()

    /// Calls of the control socket. Callers share the channel, and get the reason of a failure with the answer.
    public static let control = ChannelRules(secondFreeze: .busy, thawWithoutWindow: .refusal, tellsDryRun: true)

    /// Calls of the control socket with `hold`.
    public static let hold = ChannelRules(
        secondFreeze: .busy, thawWithoutWindow: .refusal, endsWindowWithConnection: true, tellsDryRun: true)

    /// `quiescectl hooks freeze` and `hooks thaw`, for the scripts of another agent. The agent takes its snapshot without
    /// asking for a dry run.
    public static let hooks = ChannelRules(secondFreeze: .busy, thawWithoutWindow: .refusal)

    /// Whether a THAW that follows a failed FREEZE succeeds. On a channel that callers share, the THAW can be another
    /// caller's.
    var expectsThawAfterFailure: Bool { thawWithoutWindow != .refusal || endsWindowWithConnection }
}
