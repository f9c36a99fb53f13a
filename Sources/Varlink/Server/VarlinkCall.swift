import Synchronization

/// A call that waits for its answer. Every method may be called by any thread, at any time: what comes after the
/// final answer, or after the connection has closed, is dropped.
///
/// A call gets exactly one final answer. One that is let go without gets `MethodNotImplemented`, so that no client
/// waits for ever.
public final class VarlinkCall: Sendable {
    public let connection: VarlinkConnection
    /// With its interface (`org.example.Control.Start`).
    public var method: String { call.method }
    /// Whether the client takes more than one answer.
    public var wantsMore: Bool { call.wantsMore }
    /// Whether the client takes no answer at all. All are dropped.
    public var isOneway: Bool { call.isOneway }

    private let call: CallMessage
    private let isAnswered: Mutex<Bool>

    init(_ call: CallMessage, from connection: VarlinkConnection) {
        self.call = call
        self.connection = connection
        isAnswered = Mutex(call.isOneway)
    }

    deinit {
        fail(.methodNotImplemented(method))
    }

    /// Decodes the parameters. Left out, they are none; the ones that the type does not know are passed over.
    ///
    /// - Throws: `invalidParameter` with the name of the one that is missing or mistyped.
    public func parameters<Parameters: Decodable>(
        as type: Parameters.Type = Parameters.self
    ) throws(VarlinkServiceError) -> Parameters {
        try call.message.parameters(as: type)
    }

    /// The final answer.
    ///
    /// - Parameter parameters: Anything that encodes as a JSON object. What does not encode counts as not implemented.
    public func reply(_ parameters: some Encodable) {
        send { try ReplyMessage(parameters: parameters, continues: false) }
    }

    /// One answer of several. A client that did not ask for more than one gets `ExpectedMore` instead, as the final
    /// answer.
    public func reply(continuing parameters: some Encodable) {
        guard wantsMore else { return fail(.expectedMore) }
        send { try ReplyMessage(parameters: parameters, continues: true) }
    }

    /// The final answer: an error of one of the service's own interfaces.
    ///
    /// - Parameters:
    ///   - name: The name of the error, with the interface.
    ///   - endsConnection: Whether the connection is closed after the answer.
    public func fail(_ name: String, _ parameters: some Encodable, endsConnection: Bool = false) {
        send { try ReplyMessage(error: name, parameters: parameters, endsConnection: endsConnection) }
    }

    /// The final answer: an error that every service has.
    public func fail(_ error: VarlinkServiceError) {
        send { ReplyMessage(error) }
    }

    /// Encodes with the caller's time, not the server's.
    private func send(_ makeReply: () throws -> ReplyMessage) {
        if isAnswered.withLock({ $0 }) { return }
        let reply = (try? makeReply()) ?? ReplyMessage(.methodNotImplemented(method))
        // The lock is held until the answer is handed over: nothing may come after the final one.
        isAnswered.withLock { isAnswered in
            if isAnswered { return }
            isAnswered = reply.isFinal
            connection.send(reply)
        }
    }
}
