/// The times of the vsock channel. Only tests need others.
struct VsockChannelLimits: Sendable {
    var firstRetry: Duration = .seconds(1)
    var longestRetry: Duration = .seconds(60)
    /// After a connection that could not be accepted for want of a descriptor or memory.
    var acceptPause: Duration = .milliseconds(100)
    /// For a connection without a call, a window or a subscription.
    var idleTimeout: Duration = .seconds(60)
}
