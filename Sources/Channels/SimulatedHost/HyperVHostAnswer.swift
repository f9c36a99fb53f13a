import FreezeCore

/// How one operation of the simulated host ended.
public struct HyperVHostAnswer: Hashable, Sendable {
    public enum Outcome: Hashable, Sendable {
        /// The daemon's answer, or what the driver takes for it: possibly a late one to an earlier operation.
        case answered(HyperVMessage)
        /// No answer within the driver's patience.
        case timedOut
        /// There was no daemon.
        case notRegistered
        /// The daemon closed the device before it answered.
        case departed
    }

    public let operation: HyperVOperation
    public let outcome: Outcome
    public let sent: Moment
    public let duration: Duration

    /// What the host is told.
    public var status: HyperVStatus {
        if case .answered(let message) = outcome { message.status } else { .failure }
    }
}

/// An observation of the simulated host.
public enum HyperVHostEvent: Hashable, Sendable {
    case registered(HyperVOperation)
    case departed
    case answered(HyperVOperation, HyperVMessage)
    case timedOut(HyperVOperation)
    /// A message when nothing was asked. The driver would have failed its write with EINVAL; a pty cannot.
    case unexpected(HyperVMessage)
}
