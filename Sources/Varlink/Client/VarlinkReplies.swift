/// The answers to one call, as they come. It holds its connection open.
public struct VarlinkReplies<Reply: Decodable & Sendable>: AsyncSequence, Sendable {
    private let messages: AsyncThrowingStream<JSONMessage, any Error>
    private let method: String
    private let client: VarlinkClient

    init(_ messages: AsyncThrowingStream<JSONMessage, any Error>, to method: String, from client: VarlinkClient) {
        self.messages = messages
        self.method = method
        self.client = client
    }

    public func makeAsyncIterator() -> Iterator {
        Iterator(messages: messages.makeAsyncIterator(), method: method, client: client)
    }

    public struct Iterator: AsyncIteratorProtocol {
        fileprivate var messages: AsyncThrowingStream<JSONMessage, any Error>.Iterator
        fileprivate let method: String
        fileprivate let client: VarlinkClient

        /// - Throws: What ``VarlinkClient/call(_:_:returning:timeout:)`` throws.
        public mutating func next(
            isolation actor: isolated (any Actor)?
        ) async throws(VarlinkError) -> Reply? {
            do {
                guard let message = try await messages.next(isolation: actor) else { return nil }
                return try message.parameters(as: Reply.self)
            } catch let error as VarlinkError {
                throw error
            } catch {
                throw .malformedReply(to: method, error)
            }
        }
    }
}
