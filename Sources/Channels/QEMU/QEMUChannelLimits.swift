/// Times of the guest agent channel. Only tests need other values than the defaults.
public struct QEMUChannelLimits: Hashable, Sendable {
    /// A client counts as gone after a hang-up of this length. In up to 5 % of all connections the first request arrives
    /// before the end of the hang-up.
    public var clientDoubt: Duration
    /// The shortest pause between close and open. QEMU reports at most one change a second to libvirt.
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
