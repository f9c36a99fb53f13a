/// One who watches requests as they go on: the control socket's subscribers.
public protocol RequestObserver: Sendable {
    /// Called on the coordinator's thread, in the window too: it must return at once.
    func observe(_ progress: RequestProgress)
}
