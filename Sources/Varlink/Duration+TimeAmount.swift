import FreezeCore
import NIOCore

extension Duration {
    /// For NIO's timers; clamped to a year, which no sum of it and the uptime overflows.
    var timeAmount: TimeAmount {
        .nanoseconds(min(nanoseconds, 365 * 86_400 * 1_000_000_000))
    }
}
