/// A JSON value of a client.
enum AgentValue: Hashable, Sendable {
    case null
    case bool(Bool)
    /// In the words of the client: clients send integers beyond 2^53.
    case number(String)
    case string(String)
    case list([AgentValue])
    case object([AgentMember])

    /// Without blanks and in ASCII, as qemu-ga writes values.
    var encoded: String {
        switch self {
        case .null: "null"
        case .bool(let value): value ? "true" : "false"
        case .number(let text): text
        case .string(let text): Self.encoded(text)
        case .list(let values): "[\(values.map(\.encoded).joined(separator: ", "))]"
        case .object(let members):
            "{\(members.map { "\(Self.encoded($0.name)): \($0.value.encoded)" }.joined(separator: ", "))}"
        }
    }

    static func encoded(_ text: String) -> String {
        var result = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": result += "\\\""
            case "\\": result += "\\\\"
            case "\u{8}": result += "\\b"
            case "\u{C}": result += "\\f"
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case " "..."~": result.unicodeScalars.append(scalar)
            default:
                for unit in UTF16.encode(scalar) ?? UTF16.encodedReplacementCharacter {
                    let digits = String(unit, radix: 16, uppercase: true)
                    result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
                }
            }
        }
        return result + "\""
    }
}

/// A member of an object.
struct AgentMember: Hashable, Sendable {
    let name: String
    let value: AgentValue
    /// The value as the client wrote it, without the blanks between tokens.
    let text: ArraySlice<UInt8>

    init(name: String, value: AgentValue, text: ArraySlice<UInt8>) {
        self.name = name
        self.value = value
        self.text = text
    }

    /// A member of quiesce's own.
    init(_ name: String, _ value: AgentValue) {
        self.init(name: name, value: value, text: Array(value.encoded.utf8)[...])
    }
}

extension [AgentMember] {
    subscript(name: String) -> AgentValue? { first { $0.name == name }?.value }
}

/// Why a request failed.
struct AgentError: Error, Hashable, Sendable {
    /// The error classes of QEMU.
    enum Class: String, Sendable {
        case generic = "GenericError"
        /// libvirt reports such a command as not supported.
        case commandNotFound = "CommandNotFound"
    }

    let errorClass: Class
    let description: String

    init(_ errorClass: Class, _ description: String) {
        self.errorClass = errorClass
        self.description = description
    }

    static func malformed(_ problem: String) -> AgentError {
        AgentError(.generic, "JSON parse error, \(problem)")
    }
}
