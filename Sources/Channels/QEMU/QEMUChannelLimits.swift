/// Times of the guest agent channel. Only tests need other values than the defaults.
public struct QEMUChannelLimits: Hashable, Sendable {
    /// A client counts as gone after a hang-up of this length. In up to one of twenty connections the first request
    /// arrives before the hang-up ends.
    public var clientDoubt: Duration
    /// The port stays closed for this time at least. QEMU tells libvirt of one change a second only.
    public var closed: Duration
    /// The longest pause between attempts to open the port.
    public var longestRetry: Duration

    public init(
        clientDoubt: Duration = .milliseconds(200), closed: Duration = .milliseconds(1100),
        longestRetry: Duration = .seconds(30)
    ) {
        self.clientDoubt = clientDoubt
        self.closed = closed
        self.longestRetry = longestRetry
    }
}
