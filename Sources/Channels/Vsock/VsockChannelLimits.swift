/// The times of the vsock channel. Only tests need others.
struct VsockChannelLimits: Sendable {
    var firstRetry: Duration = .seconds(1)
    var longestRetry: Duration = .seconds(60)
    /// After a connection that could not be accepted for want of a descriptor or memory, or while the server is behind.
    var acceptPause: Duration = .milliseconds(100)
    /// Accepted connections that the server has not seen yet.
    var mostUnseen = 32
    /// Bytes of a call: room for a long list of mount points.
    var longestMessage = 1 << 18
    /// For a connection without a call, a window or a subscription.
    var idleTimeout: Duration = .seconds(60)
}
