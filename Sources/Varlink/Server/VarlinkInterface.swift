/// An interface: its description as Varlink writes it (https://varlink.org/Interface-Definition), and what it names.
public struct VarlinkInterface: Sendable {
    /// In reverse-domain form; empty if the description has none, which a server refuses.
    public let name: String
    /// The methods' own names, without the interface.
    public let methods: Set<String>
    public let description: String

    /// Reads no more than the names: whether the rest is well-formed, a test with another implementation tells.
    public init(description: String) {
        self.description = description
        var name = ""
        var methods: Set<String> = []
        for line in description.split(whereSeparator: \.isNewline) {
            let words = line.prefix { $0 != "#" }.split { " \t(".contains($0) }
            guard words.count > 1 else { continue }
            switch words[0] {
            case "interface": name = String(words[1])
            // Names of methods start with a capital; `method` may also be the name of a field.
            case "method" where words[1].first?.isUppercase == true: methods.insert(String(words[1]))
            default: break
            }
        }
        self.name = name
        self.methods = methods
    }

    /// What every service has (https://varlink.org/Service).
    static let service = VarlinkInterface(
        description: """
            # What every Varlink service can tell about itself.
            interface org.varlink.service

            # Who made the service, and which interfaces it has.
            method GetInfo() -> (
              vendor: string,
              product: string,
              version: string,
              url: string,
              interfaces: []string
            )

            # An interface as text.
            method GetInterfaceDescription(interface: string) -> (description: string)

            # The service has no such interface.
            error InterfaceNotFound (interface: string)

            # The interface has no such method.
            error MethodNotFound (method: string)

            # The interface has the method, but the service has not.
            error MethodNotImplemented (method: string)

            # A parameter is missing, of the wrong type, or out of range.
            error InvalidParameter (parameter: string)

            # The client may not do this.
            error PermissionDenied ()

            # The method answers more than once, and has to be called so.
            error ExpectedMore ()

            """)
}
