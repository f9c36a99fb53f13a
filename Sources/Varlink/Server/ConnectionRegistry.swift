import NIOCore

/// All connections of a server, on the loop of the server. Admits connections, and closes idle ones for new ones.
final class ConnectionRegistry {
    let router: CallRouter
    let limits: VarlinkLimits
    private let servedUsers: Set<UInt32>
    private let takeNote: @Sendable (VarlinkServerNote) -> Void
    private var handlers: [VarlinkConnectionID: ConnectionHandler] = [:]
    private var lastNumber: UInt64 = 0

    init(
        router: CallRouter, limits: VarlinkLimits, servedUsers: Set<UInt32>,
        takeNote: @escaping @Sendable (VarlinkServerNote) -> Void
    ) {
        self.router = router
        self.limits = limits
        self.servedUsers = servedUsers
        self.takeNote = takeNote
    }

    func serves(_ peer: VarlinkPeer) -> Bool {
        switch peer {
        case .process(_, let user): servedUsers.contains(user)
        // The caller of VarlinkServer.serve(_:from:) has checked the machine.
        case .machine: true
        }
    }

    /// Takes a connection in, and closes another if there are too many; nil if none of them can be.
    func admit(_ handler: ConnectionHandler) -> VarlinkConnectionID? {
        if handlers.count >= limits.maximumConnections {
            let idle = handlers.filter { $0.value.mayMakeRoom }
            guard let oldest = idle.min(by: { $0.value.lastActivity < $1.value.lastActivity }) else { return nil }
            handlers[oldest.key] = nil
            note(.madeRoom(oldest.value.peer))
            oldest.value.close()
        }
        lastNumber += 1
        let id = VarlinkConnectionID(number: lastNumber)
        handlers[id] = handler
        return id
    }

    func remove(_ connection: VarlinkConnection) {
        handlers[connection.id] = nil
        router.handler.connectionClosed(connection)
    }

    func note(_ note: VarlinkServerNote) {
        takeNote(note)
    }
}
