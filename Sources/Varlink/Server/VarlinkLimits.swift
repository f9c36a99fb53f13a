/// What one client may cost, and all of them together.
public struct VarlinkLimits: Sendable {
    /// Bytes of one call. A longer one is refused as soon as it is seen to be, and its connection closed.
    public var maximumMessage = 1 << 20
    /// Bytes that may wait for a client to read them; with that many waiting, a further answer ends its connection.
    public var maximumUnsent = 1 << 20
    /// When they are all taken, the one that was idle longest makes room.
    public var maximumConnections = 128
    /// How long a connection may be idle: without a call that waits for its answer, and not marked
    /// ``VarlinkConnection/keepsOpen``. Half a call is none.
    public var idleTimeout: Duration = .seconds(60)

    public init() {}
}
