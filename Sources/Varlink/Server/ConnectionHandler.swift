import NIOCore

/// One client's connection, on the loop: takes its calls one by one, sends the answers, and ends it in time.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = Never
    typealias OutboundOut = ByteBuffer

    private enum State {
        /// The next call may come.
        case listening
        /// A call waits for its final answer. Nothing is read meanwhile, so that no client can pile up calls.
        case answering
        /// The same, and the client sends no more: with the answer the connection ends.
        case answeringLast
        /// The last answer is on its way. Nothing is read any more.
        case closing
    }

    let peer: VarlinkPeer
    private let registry: ConnectionRegistry
    private let limits: VarlinkLimits
    private var framer: MessageFramer
    private var state = State.listening
    private var context: ChannelHandlerContext?
    private var connection: VarlinkConnection?
    private var idleCheck: Scheduled<Void>?
    /// Whether the channel has asked for more bytes than it was let have.
    private var owesRead = false
    private var unsentBytes = 0
    /// Whether the call that waits gets more than one answer.
    private var takesMore = false
    /// When a call came in full, or an answer went out in full. Not when a byte came: one a minute must not do.
    private(set) var lastActivity = NIODeadline.now()

    init(peer: VarlinkPeer, registry: ConnectionRegistry) {
        self.peer = peer
        self.registry = registry
        limits = registry.limits
        framer = MessageFramer(maximumMessage: limits.maximumMessage)
    }

    /// Whether the connection may be closed as idle.
    var isIdle: Bool {
        switch state {
        case .listening: connection?.keepsOpen != true
        case .answering, .answeringLast: false
        case .closing: true
        }
    }

    /// Whether the connection may be closed for a new connection.
    var mayMakeRoom: Bool { isIdle && connection?.keepsPlace != true }

    /// Closes at once; what is unsent is lost.
    func close() {
        context?.close(promise: nil)
    }

    // MARK: - The channel's events

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        guard registry.serves(peer) else {
            registry.note(.deniedUser(peer))
            return sendAndClose(ReplyMessage(.permissionDenied))
        }
        guard let id = registry.admit(self) else {
            registry.note(.full(peer))
            return close()
        }
        let end = VarlinkConnection.End(
            loop: context.eventLoop, handler: NIOLoopBound(self, eventLoop: context.eventLoop))
        connection = VarlinkConnection(id: id, end: end)
        checkIdle(at: lastActivity + limits.idleTimeout.timeAmount)
    }

    func channelInactive(context: ChannelHandlerContext) {
        state = .closing
        idleCheck?.cancel()
        guard let connection else { return }
        connection.markClosed()
        registry.remove(connection)
        self.connection = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard state != .closing else { return }
        framer.append(unwrapInboundIn(data))
        takeCalls()
    }

    func read(context: ChannelHandlerContext) {
        if state == .listening {
            context.read()
        } else {
            owesRead = true
        }
    }

    /// The client sends no more: the client still waits for an answer, or has disconnected. A connection with
    /// `keepsOpen` or a subscription is closed in both cases.
    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        guard case .inputClosed? = event as? ChannelEvent else { return }
        if state == .answering, !takesMore, connection?.keepsOpen != true {
            state = .answeringLast
        } else if state == .listening, unsentBytes > 0, connection?.keepsOpen != true {
            state = .closing
        } else if state != .closing {
            close()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        close()
    }

    // MARK: - Calls and answers

    private func takeCalls() {
        do {
            while state == .listening, let connection, let text = try framer.next() {
                lastActivity = .now()
                let call = try CallMessage(text)
                if !call.isOneway { state = .answering }
                takesMore = call.wantsMore
                registry.router.route(call, from: connection)
            }
        } catch {
            registry.note(.malformedCall(peer))
            let reason = error as? VarlinkServiceError ?? .invalidParameter("message")
            sendAndClose(ReplyMessage(reason))
        }
    }

    /// Sends a reply to the call in progress, and serves the next call after the last reply.
    func answer(_ reply: ReplyMessage) {
        guard state == .answering || state == .answeringLast, let context else { return }
        guard unsentBytes < limits.maximumUnsent else {
            registry.note(.slowReader(peer))
            return close()
        }
        if state == .answeringLast || reply.endsConnection { return sendAndClose(reply) }
        send(reply, context)
        guard reply.isFinal else { return }
        state = .listening
        takeCalls()
        if state == .listening && owesRead {
            owesRead = false
            context.read()
        }
    }

    private func send(_ reply: ReplyMessage, _ context: ChannelHandlerContext) {
        let size = reply.bytes.readableBytes
        unsentBytes += size
        context.writeAndFlush(wrapOutboundOut(reply.bytes)).assumeIsolated().whenComplete { [self] _ in
            unsentBytes -= size
            lastActivity = .now()
            if state == .closing, unsentBytes == 0 { close() }
        }
    }

    /// Tells a client why it is not talked to any more. One that does not read that either is idle.
    private func sendAndClose(_ reply: ReplyMessage) {
        guard let context else { return }
        state = .closing
        framer.clear()
        send(reply, context)
    }

    // MARK: - Idleness

    private func checkIdle(at time: NIODeadline) {
        guard let context else { return }
        idleCheck = context.eventLoop.assumeIsolated().scheduleTask(deadline: time) { [self] in
            let timeout = limits.idleTimeout.timeAmount
            guard isIdle else { return checkIdle(at: .now() + timeout) }
            guard lastActivity + timeout <= .now() else { return checkIdle(at: lastActivity + timeout) }
            registry.note(.idle(peer))
            close()
        }
    }
}
