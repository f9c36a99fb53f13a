import SystemPackage

/// Answers calls.
public protocol VarlinkHandler: Sendable {
    /// A call of a method that one of the server's interfaces has. It may be answered later, by any thread.
    ///
    /// Called on the server's only thread: it must return at once. The calls of one connection come one after the
    /// other: the next when this one has its final answer.
    func handle(_ call: VarlinkCall)

    /// A connection is gone, whoever ended it; whatever is answered to its calls from now on is dropped.
    ///
    /// Called on the server's only thread, once for each connection, after the last of its calls.
    func connectionClosed(_ connection: VarlinkConnection)
}

/// What a server wants to have noted. Clients can make them come often.
public enum VarlinkServerNote: Sendable {
    /// A user that the server does not talk to.
    case deniedUser(VarlinkPeer)
    /// A client sent what is no call, or a call that is too long, and was cut off.
    case malformedCall(VarlinkPeer)
    /// A client did not read what it was sent, and was cut off.
    case slowReader(VarlinkPeer)
    /// A connection did nothing for longer than it may, and was closed.
    case idle(VarlinkPeer)
    /// All connections were taken; this one was idle longest and was closed.
    case madeRoom(VarlinkPeer)
    /// All connections are taken and busy; this one was closed unheard.
    case full(VarlinkPeer)
    /// No connection could be accepted (EMFILE …). It is tried again.
    case cannotAccept(Errno?)
}
