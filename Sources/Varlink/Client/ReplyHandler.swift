import NIOCore
import SystemPackage

/// A call whose answers are still to come. Whoever does not wait for them any more just does not get them.
struct WaitingCall {
    let method: String
    let replies: ReplyQueue
    var timer: Scheduled<Void>?

    func finish(throwing error: VarlinkError? = nil) {
        timer?.cancel()
        replies.finish(throwing: error)
    }
}

/// A client's end of the connection, on its loop: brings each answer to the oldest call that waits for one.
final class ReplyHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Bytes of one answer: a guard against a server that has gone mad.
    private static let maximumMessage = 64 << 20

    private let path: FilePath
    private var framer = MessageFramer(maximumMessage: maximumMessage)
    private var calls = CircularBuffer<WaitingCall>()
    private var context: ChannelHandlerContext?
    /// Why nothing is answered any more, if a better reason is known than that the connection has ended.
    private var reason: VarlinkError?

    init(path: FilePath) {
        self.path = path
    }

    func send(_ bytes: ByteBuffer, of call: WaitingCall, timeout: Duration?) {
        guard let context, context.channel.isActive else { return call.finish(throwing: lost(call)) }
        var call = call
        call.timer = timeout.map { timeout in
            context.eventLoop.assumeIsolated().scheduleTask(in: timeout.timeAmount) { [call] in
                call.finish(throwing: VarlinkError(.timedOut, call.method, "no answer came in time"))
            }
        }
        calls.append(call)
        // That it could not be sent shows when the connection ends.
        context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        framer.append(unwrapInboundIn(data))
        do {
            while context.channel.isActive, let text = try framer.next() { try deliver(JSONMessage(text)) }
        } catch {
            reason = reason ?? .malformedReply(to: calls.first?.method ?? path.string, error)
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        // One by one: whoever is told may call again.
        while let call = calls.popFirst() { call.finish(throwing: lost(call)) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        context.close(promise: nil)
    }

    private func deliver(_ message: JSONMessage) throws(VarlinkServiceError) {
        let envelope = try message.envelope(as: Envelope.self)
        let error = envelope.error.map { name in
            VarlinkError.reply(
                VarlinkErrorReply(name: name, message: message), to: calls.first?.method ?? path.string)
        }
        guard let call = calls.first else {
            // Before any call it can only be about the connection itself.
            reason = error
            throw .invalidParameter("message")
        }
        if let error {
            calls.removeFirst()
            return call.finish(throwing: error)
        }
        call.timer?.cancel()
        call.replies.add(message)
        if envelope.continues == true { return }
        calls.removeFirst()
        call.finish()
    }

    private func lost(_ call: WaitingCall) -> VarlinkError {
        reason
            ?? VarlinkError(
                .connectionLost, call.method, "the connection ended before the answer came",
                remedy: "Look whether the server is running; what was asked for may have been done.")
    }

    private struct Envelope: Decodable {
        let error: String?
        let continues: Bool?
    }
}
