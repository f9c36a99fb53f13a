import FoundationEssentials

/// A call as a client sends it.
struct CallMessage: Sendable {
    let method: String
    let wantsMore: Bool
    let isOneway: Bool
    let wantsUpgrade: Bool
    let message: JSONMessage

    /// - Throws: `invalidParameter` with what is wrong of it: nothing of this message can be answered.
    init(_ text: Data) throws(VarlinkServiceError) {
        message = try JSONMessage(text)
        let envelope = try message.envelope(as: Envelope.self)
        method = envelope.method
        wantsMore = envelope.more ?? false
        isOneway = envelope.oneway ?? false
        wantsUpgrade = envelope.upgrade ?? false
    }

    /// The name up to its last dot; all but the method's own name.
    var interface: String {
        method.lastIndex(of: ".").map { String(method[..<$0]) } ?? ""
    }

    private struct Envelope: Decodable {
        let method: String
        let more: Bool?
        let oneway: Bool?
        let upgrade: Bool?
        let parameters: AnyObject?

        /// Decodes from whatever is a JSON object.
        struct AnyObject: Decodable {
            private struct Key: CodingKey {
                let stringValue: String
                var intValue: Int? { nil }
                init(stringValue: String) { self.stringValue = stringValue }
                init?(intValue: Int) { nil }
            }

            init(from decoder: any Decoder) throws {
                _ = try decoder.container(keyedBy: Key.self)
            }
        }
    }
}
