import FoundationEssentials

/// An error that a server answered with: its full name and its parameters.
public struct VarlinkErrorReply: Sendable {
    /// With its interface (`org.varlink.service.InvalidParameter`).
    public let name: String
    private let message: JSONMessage

    init(name: String, message: JSONMessage) {
        self.name = name
        self.message = message
    }

    /// Decodes the parameters; nil if they are not such.
    public func parameters<Parameters: Decodable>(as type: Parameters.Type) -> Parameters? {
        try? message.parameters(as: type)
    }
}
