import FreezeCore

/// The answers to one call, as they come. It holds its connection open.
public struct VarlinkReplies<Reply: Decodable & Sendable>: Sendable {
    private let queue: ReplyQueue
    private let method: String
    private let client: VarlinkClient

    public enum Next {
        case reply(Reply)
        case end
        case nothingYet
    }

    init(_ queue: ReplyQueue, to method: String, from client: VarlinkClient) {
        self.queue = queue
        self.method = method
        self.client = client
    }

    /// Blocks until there is an answer; nil after the last one.
    ///
    /// - Throws: What ``VarlinkClient/call(_:_:returning:timeout:)`` throws.
    public func next() throws(VarlinkError) -> Reply? {
        if case .reply(let reply) = try next(until: nil) { reply } else { nil }
    }

    /// The same, but not past the moment; nil for no limit.
    public func next(until deadline: Moment?) throws(VarlinkError) -> Next {
        switch try queue.next(until: deadline) {
        case .nothingYet: return .nothingYet
        case .end: return .end
        case .message(let message):
            do {
                return .reply(try message.parameters(as: Reply.self))
            } catch {
                throw .malformedReply(to: method, error)
            }
        }
    }
}
