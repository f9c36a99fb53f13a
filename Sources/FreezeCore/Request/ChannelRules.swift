/// The expectations of the callers of a channel: limits for answers, and the meaning of an operation out of order.
///
/// The rules belong to the name of a channel, and not to the registration: after a crash of the daemon a THAW can
/// come first. The default rules are for a host that reads no reasons, such as Hyper-V.
public struct ChannelRules: Hashable, Sendable {
    /// The meaning of a FREEZE while everything is frozen for the same channel.
    public enum SecondFreeze: Hashable, Sendable {
        /// The host has given up the first snapshot: the window ends, and FREEZE fails.
        case losesWindow
        /// Another caller: FREEZE fails with `busy`, and the window continues.
        case busy
        /// A mistake of the caller: FREEZE fails with `failed`, and the window continues.
        case error
    }

    /// The answer to a THAW without a window.
    public enum ThawWithoutWindow: Hashable, Sendable {
        /// Failure, and an error in the log: the snapshot of the host may be torn. After a failed FREEZE, success.
        case failure
        /// Failure with the reason: nothing is frozen, or the window belongs to another channel.
        case refusal
        /// Success: nothing is frozen.
        case success
    }

    /// Limit for the answer to FREEZE, from the arrival of FREEZE: no answer is sent later. Nil for no limit.
    public var freezeAnswerLimit: Duration?
    /// Limit for the answer to THAW, from the arrival of THAW: the answer at the limit is failure. Nil for no limit.
    public var thawAnswerLimit: Duration?
    public var secondFreeze: SecondFreeze
    public var thawWithoutWindow: ThawWithoutWindow
    /// True if a window belongs to one connection, and ends with the connection.
    public var endsWindowWithConnection: Bool
    /// True if the answer to FREEZE names a dry run, so that FREEZE can succeed. Otherwise FREEZE fails in a dry run:
    /// the caller would take a real snapshot.
    public var tellsDryRun: Bool
    /// True if the callers act for the admin: a caller may end the request of another channel, and acknowledge.
    public var actsForAdmin: Bool
    /// The longest window of a request; nil for `freeze.max_window` alone.
    public var maxWindow: Duration?

    public init(
        freezeAnswerLimit: Duration? = hyperVFreezeAnswerLimit, thawAnswerLimit: Duration? = .seconds(20),
        secondFreeze: SecondFreeze = .losesWindow, thawWithoutWindow: ThawWithoutWindow = .failure,
        endsWindowWithConnection: Bool = false, tellsDryRun: Bool = false, actsForAdmin: Bool = false,
        maxWindow: Duration? = nil
    ) {
        self.freezeAnswerLimit = freezeAnswerLimit
        self.thawAnswerLimit = thawAnswerLimit
        self.secondFreeze = secondFreeze
        self.thawWithoutWindow = thawWithoutWindow
        self.endsWindowWithConnection = endsWindowWithConnection
        self.tellsDryRun = tellsDryRun
        self.actsForAdmin = actsForAdmin
        self.maxWindow = maxWindow
    }

    /// The driver times out after 900 s (VSS_FREEZE_TIMEOUT, drivers/hv/hv_snapshot.c), and mistakes a late answer for
    /// the answer to the next operation: 30 s are kept free.
    public static let hyperVFreezeAnswerLimit = Duration.seconds(870)

    /// The rules of every channel, by its name.
    static let all = [
        ChannelID.hyperV.name: hyperV, ChannelID.qemu.name: qemu, ChannelID.control.name: control,
        ChannelID.hold(0).name: hold, ChannelID.hooks.name: hooks, ChannelID.vsock.name: vsock,
    ]

    /// Hyper-V's VSS device. The host times out 30 s after THAW: 10 s are kept free.
    public static let hyperV = ChannelRules()

    /// QEMU's guest agent port. libvirt waits for answers without a limit. THAW without a window is success, with the count
    /// 0. A second FREEZE is refused.
    public static let qemu = ChannelRules(
        freezeAnswerLimit: nil, thawAnswerLimit: nil, secondFreeze: .error, thawWithoutWindow: .success)

    /// Calls of the control socket. Callers share the channel, and get the reason of a failure with the answer.
    public static let control = ChannelRules(
        secondFreeze: .busy, thawWithoutWindow: .refusal, tellsDryRun: true, actsForAdmin: true)

    /// Calls of the control socket with `hold`.
    public static let hold = ChannelRules(
        secondFreeze: .busy, thawWithoutWindow: .refusal, endsWindowWithConnection: true, tellsDryRun: true)

    /// Calls of the host over vsock: each window belongs to a connection, as with `hold`.
    public static let vsock = hold

    /// `quiescectl hooks freeze` and `hooks thaw`. The agent takes a snapshot also in a dry run of quiesced, so FREEZE
    /// fails then.
    public static let hooks = ChannelRules(secondFreeze: .busy, thawWithoutWindow: .refusal)

    /// Whether a THAW after a failed FREEZE succeeds. On a shared channel, FREEZE and THAW can come from different
    /// callers.
    var expectsThawAfterFailure: Bool { thawWithoutWindow != .refusal || endsWindowWithConnection }
}
