import FoundationEssentials

/// The errors that every Varlink service may answer with (https://varlink.org/Service).
public enum VarlinkServiceError: Error, Hashable, Sendable {
    case interfaceNotFound(String)
    /// The full name of a method that its interface does not have.
    case methodNotFound(String)
    /// The full name of a method that its interface has, but this service does not.
    case methodNotImplemented(String)
    /// A parameter that is missing, of the wrong type, or has a value that is not allowed.
    case invalidParameter(String)
    case permissionDenied
    /// The method answers more than once, which the caller did not ask for.
    case expectedMore

    /// With its interface.
    public var name: String {
        let name =
            switch self {
            case .interfaceNotFound: "InterfaceNotFound"
            case .methodNotFound: "MethodNotFound"
            case .methodNotImplemented: "MethodNotImplemented"
            case .invalidParameter: "InvalidParameter"
            case .permissionDenied: "PermissionDenied"
            case .expectedMore: "ExpectedMore"
            }
        return "\(VarlinkInterface.service.name).\(name)"
    }

    /// What goes with it, by name.
    var parameters: [String: String] {
        switch self {
        case .interfaceNotFound(let name): ["interface": name]
        case .methodNotFound(let name), .methodNotImplemented(let name): ["method": name]
        case .invalidParameter(let name): ["parameter": name]
        case .permissionDenied, .expectedMore: [:]
        }
    }
}

/// The error answer of a server: the full name and the parameters.
public struct VarlinkErrorReply: Sendable {
    /// With the interface: `org.varlink.service.InvalidParameter`.
    public let name: String
    private let message: JSONMessage

    init(name: String, message: JSONMessage) {
        self.name = name
        self.message = message
    }

    /// Decodes the parameters; nil for parameters of another shape.
    public func parameters<Parameters: Decodable>(as type: Parameters.Type) -> Parameters? {
        try? message.parameters(as: type)
    }
}
