/// One who watches over the daemon's process: systemd.
public protocol LifeObserver: Sendable {
    /// The interval of notices that the daemon is alive; nil for none. May change when the daemon stops.
    var heartbeatInterval: Duration? { get }

    /// What an earlier life left is about to be thawed. Called on the coordinator's thread, as all the others: it must
    /// return at once.
    func isStarting()
    /// Requests can come from now on: the control socket listens, unless it cannot, and the device is opened when it
    /// is there.
    func isServing()
    /// The coordinator's thread does its work. Called in the window too.
    func isAlive()
    /// The daemon is about to end.
    func isStopping()
}
