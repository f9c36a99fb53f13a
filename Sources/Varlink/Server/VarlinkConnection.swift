import Glibc
import NIOCore
import Synchronization

/// The other end of a connection.
public enum VarlinkPeer: Hashable, Sendable {
    /// A process of this machine, at the time of connect(2) (unix(7): SO_PEERCRED).
    case process(Int32, user: UInt32)
    /// Another machine, by its context id (vsock(7)).
    case machine(contextID: UInt32)
}

/// Tells the connections of one server apart; never used twice.
public struct VarlinkConnectionID: Hashable, Sendable {
    let number: UInt64
}

/// A client's connection, for any thread.
public final class VarlinkConnection: Sendable {
    public let id: VarlinkConnectionID
    private let holds = Atomic(false)
    private let place = Atomic(false)
    /// Nil when the connection is closed. A reply is passed to the loop under the lock, because the loop may end with
    /// the connection.
    private let end: Mutex<End?>

    struct End {
        let loop: any EventLoop
        let handler: NIOLoopBound<ConnectionHandler>
    }

    init(id: VarlinkConnectionID, end: End) {
        self.id = id
        self.end = Mutex(end)
    }

    /// Whether the server never closes the connection as idle. Handlers set the value, for example while the connection
    /// holds a window.
    public var keepsOpen: Bool {
        get { holds.load(ordering: .relaxed) }
        set { holds.store(newValue, ordering: .relaxed) }
    }

    /// Whether the server never closes the connection in favour of a new connection.
    public var keepsPlace: Bool {
        get { place.load(ordering: .relaxed) }
        set { place.store(newValue, ordering: .relaxed) }
    }

    /// Hands an answer over to the loop; in the order of the calls to this.
    func send(_ reply: ReplyMessage) {
        end.withLock { end in
            guard let end else { return }
            let handler = end.handler
            end.loop.execute { handler.value.answer(reply) }
        }
    }

    func markClosed() {
        end.withLock { $0 = nil }
    }
}
