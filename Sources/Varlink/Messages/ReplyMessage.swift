import FoundationEssentials
import NIOCore

/// An answer as it is sent, with its NUL.
struct ReplyMessage: Sendable {
    let bytes: ByteBuffer
    /// Whether no more of them follow for this call.
    let isFinal: Bool
    /// Whether the server closes the connection after the reply.
    private(set) var endsConnection = false

    /// - Throws: What the parameters' own encoding throws.
    init(parameters: some Encodable, continues: Bool) throws {
        bytes = try encodeMessage(Body(error: nil, parameters: parameters, continues: continues ? true : nil))
        isFinal = !continues
    }

    /// - Throws: What the parameters' own encoding throws.
    init(error: String, parameters: some Encodable, endsConnection: Bool = false) throws {
        self.endsConnection = endsConnection
        bytes = try encodeMessage(Body(error: error, parameters: parameters, continues: nil))
        isFinal = true
    }

    init(_ error: VarlinkServiceError) {
        // Strings by name always encode.
        let encoded = try? encodeMessage(Body(error: error.name, parameters: error.parameters, continues: nil))
        bytes = encoded ?? ByteBuffer()
        isFinal = true
    }

    private struct Body<Parameters: Encodable>: Encodable {
        let error: String?
        let parameters: Parameters
        let continues: Bool?
    }
}

/// Writes a message as JSON with its NUL.
func encodeMessage(_ body: some Encodable) throws -> ByteBuffer {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .withoutEscapingSlashes
    var bytes = ByteBuffer(bytes: try encoder.encode(body))
    bytes.writeInteger(UInt8(0))
    return bytes
}
