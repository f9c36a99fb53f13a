import FreezeCore
import LinuxCalls
import NIOCore
import NIOPosix
import SystemPackage

/// A connection to a Varlink server, for threads that may block: never for an event loop. The answers come in the order of the calls: a call that waits long holds up those
/// that come after it on the same connection.
///
/// Letting go of the client closes the connection; and a ``VarlinkServer`` closes one that is idle for long.
public final class VarlinkClient: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<ReplyHandler>

    private init(channel: any Channel, handler: NIOLoopBound<ReplyHandler>) {
        self.channel = channel
        self.handler = handler
    }

    deinit {
        channel.close(promise: nil)
    }

    /// - Parameter timeout: How long to try while the server has too many connections waiting.
    /// - Throws: `notThere`, `refused`, `permissionDenied`, `cannotConnect` or `pathTooLong`.
    public static func connect(
        to path: FilePath, timeout: Duration = .seconds(5)
    ) throws(VarlinkError) -> VarlinkClient {
        let socket = try connectedSocket(to: path, until: .now + timeout)
        let loop = NIOSingletons.posixEventLoopGroup.any()
        let box = NIOLoopBoundBox.makeBoxSendingValue(ReplyHandler(path: path), eventLoop: loop)
        do {
            let channel = try ClientBootstrap(group: loop)
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(box.value)
                    }
                }
                .withConnectedSocket(socket.rawValue)
                .wait()
            let handler = try loop.submit { NIOLoopBound(box.value, eventLoop: loop) }.wait()
            return VarlinkClient(channel: channel, handler: handler)
        } catch {
            throw VarlinkError(.cannotConnect, path.string, "cannot be connected to (\(error))")
        }
    }

    /// Calls a method and waits for its answer.
    ///
    /// - Parameters:
    ///   - method: With its interface (`org.example.Control.Start`).
    ///   - parameters: Anything that encodes as a JSON object.
    ///   - timeout: How long to wait; for ever without. An answer that comes later is dropped.
    /// - Throws: `errorReply`, `permissionDenied`, `connectionLost`, `timedOut` or `malformedReply`.
    public func call<Reply: Decodable & Sendable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), returning type: Reply.Type = Reply.self,
        timeout: Duration? = nil
    ) throws(VarlinkError) -> Reply {
        let call = OutgoingCall(method: method, parameters: parameters)
        let replies = VarlinkReplies<Reply>(try send(call, timeout: timeout), to: method, from: self)
        guard let reply = try replies.next() else {
            throw VarlinkError(.malformedReply, method, "the answer to it is none")
        }
        return reply
    }

    /// Calls a method that answers more than once.
    ///
    /// The only way to end it early is to close the connection. Answers that nobody has taken yet wait in memory.
    ///
    /// - Parameter timeout: How long to wait for the first answer; for ever without.
    /// - Throws: If the call cannot be written. All else comes in the sequence.
    public func callMore<Reply: Decodable & Sendable>(
        _ method: String, _ parameters: some Encodable = NoParameters(), returning type: Reply.Type = Reply.self,
        timeout: Duration? = nil
    ) throws(VarlinkError) -> VarlinkReplies<Reply> {
        let call = OutgoingCall(method: method, parameters: parameters, more: true)
        return VarlinkReplies(try send(call, timeout: timeout), to: method, from: self)
    }

    /// Closes the connection; what still waits for an answer is told that it is lost.
    public func close() {
        channel.close(promise: nil)
        waitUntilClosed()
    }

    /// Returns when the connection has ended, whoever ended it.
    public func waitUntilClosed() {
        try? channel.closeFuture.wait()
    }

    private func send(
        _ call: OutgoingCall<some Encodable>, timeout: Duration?
    ) throws(VarlinkError) -> ReplyQueue {
        let bytes: ByteBuffer
        do {
            bytes = try encodeMessage(call)
        } catch {
            throw VarlinkError(.malformedCall, call.method, "its parameters cannot be written as JSON (\(error))")
        }
        let replies = ReplyQueue()
        channel.eventLoop.execute { [handler, method = call.method] in
            handler.value.send(bytes, of: WaitingCall(method: method, replies: replies), timeout: timeout)
        }
        return replies
    }
}

/// For a method that takes none, or of an answer that tells none.
public struct NoParameters: Codable, Sendable {
    public init() {}
}

private struct OutgoingCall<Parameters: Encodable>: Encodable {
    let method: String
    let parameters: Parameters
    var more: Bool?
}
