/// What the simulated host saw of the daemon.
public enum HyperVHostEvent: Hashable, Sendable {
    case registered(HyperVOperation)
    case departed
    case answered(HyperVOperation, HyperVMessage)
    case timedOut(HyperVOperation)
    /// A message when nothing was asked. The driver would have failed its write with EINVAL; a pty cannot.
    case unexpected(HyperVMessage)
}
