import FreezeCore

/// How long things may take on the Hyper-V channel. Only tests need other values than the defaults.
public struct HyperVChannelLimits: Hashable, Sendable {
    /// Age from which a FREEZE is not answered any more: see ``ChannelRules/hyperVFreezeAnswerLimit``.
    public var freezeAge: Duration
    /// The same for every other operation; the driver waits 30 s (HV_UTIL_TIMEOUT, hyperv_vmbus.h).
    public var otherAge: Duration
    /// The driver replies to a registration at once; a stand-in may take as long as this.
    public var handshake: Duration
    /// A driver's device is left alone until it is this old. The driver makes it a moment before it can take a
    /// registration, which crashes the kernel if it comes too early: hv_vss_init sets `hvt` after that, and up to
    /// Linux 6.12 the channel's ring came later still ("Avoid accessing a ringbuffer not initialized yet").
    public var settling: Duration
    /// A stand-in may split a message, but not leave it unfinished for longer than this.
    public var partialMessage: Duration
    /// The pause before the first attempt to open the device again. It doubles each time …
    public var firstRetry: Duration
    /// … up to this.
    public var longestRetry: Duration

    public init(
        freezeAge: Duration = ChannelRules.hyperVFreezeAnswerLimit, otherAge: Duration = .seconds(25),
        handshake: Duration = .seconds(5), settling: Duration = .seconds(1),
        partialMessage: Duration = .seconds(1), firstRetry: Duration = .milliseconds(100),
        longestRetry: Duration = .seconds(30)
    ) {
        self.freezeAge = freezeAge
        self.otherAge = otherAge
        self.handshake = handshake
        self.settling = settling
        self.partialMessage = partialMessage
        self.firstRetry = firstRetry
        self.longestRetry = longestRetry
    }

    /// Age from which the operation is not answered any more.
    public func age(of operation: HyperVOperation) -> Duration {
        operation == .freeze ? freezeAge : otherAge
    }
}
