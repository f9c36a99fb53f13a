import FoundationEssentials

/// The text of one message, a call or an answer, that is safe to decode: UTF-8, and not nested so deep that a decoder
/// could run out of stack. Its parameters are decoded when it is known what they should be.
struct JSONMessage: Sendable {
    /// Far more than any interface of ours nests, far less than a thread's stack allows.
    static let maximumDepth = 64

    private let text: Data

    /// - Throws: `invalidParameter("message")` for what is not safe to decode.
    init(_ text: Data) throws(VarlinkServiceError) {
        guard String(validating: text, as: UTF8.self) != nil, Self.depth(of: text) <= Self.maximumDepth else {
            throw .invalidParameter("message")
        }
        self.text = text
    }

    /// Decodes everything but the parameters.
    ///
    /// - Throws: `invalidParameter` with the member's name; with `message` if it is no JSON object at all.
    func envelope<Envelope: Decodable>(as type: Envelope.Type) throws(VarlinkServiceError) -> Envelope {
        do {
            return try JSONDecoder().decode(type, from: text)
        } catch {
            throw .invalidParameter(memberName(error, below: 0) ?? "message")
        }
    }

    /// - Throws: `invalidParameter` with the name of the one that is missing or mistyped: `force`, `disks[2].name`.
    func parameters<Parameters: Decodable>(
        as type: Parameters.Type
    ) throws(VarlinkServiceError) -> Parameters {
        do {
            return try JSONDecoder().decode(WithParameters<Parameters>.self, from: text).parameters
        } catch {
            // The first step of the path is "parameters" itself.
            throw .invalidParameter(memberName(error, below: 1) ?? "parameters")
        }
    }

    /// How many objects and arrays are open at once. Counts brackets outside of strings; what is no JSON at all is
    /// left to the decoder.
    private static func depth(of text: Data) -> Int {
        var depth = 0
        var deepest = 0
        var isInString = false
        var isEscaped = false
        for byte in text {
            if isInString {
                if isEscaped {
                    isEscaped = false
                } else if byte == UInt8(ascii: "\\") {
                    isEscaped = true
                } else if byte == UInt8(ascii: "\"") {
                    isInString = false
                }
                continue
            }
            switch byte {
            case UInt8(ascii: "\""): isInString = true
            case UInt8(ascii: "{"), UInt8(ascii: "["):
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "}"), UInt8(ascii: "]"): depth -= 1
            default: break
            }
        }
        return deepest
    }
}

/// A message seen as nothing but its parameters. Left out, they are none.
private struct WithParameters<Parameters: Decodable>: Decodable {
    enum Key: CodingKey {
        case parameters
    }

    let parameters: Parameters

    init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        if try container.contains(.parameters) && !container.decodeNil(forKey: .parameters) {
            parameters = try container.decode(Parameters.self, forKey: .parameters)
        } else {
            parameters = try JSONDecoder().decode(Parameters.self, from: Data("{}".utf8))
        }
    }
}

/// What a decoder stumbled over, by its path; nil if it has no name.
private func memberName(_ error: any Error, below level: Int) -> String? {
    var path: [any CodingKey]
    switch error {
    case DecodingError.keyNotFound(let key, let context): path = context.codingPath + [key]
    case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context),
        DecodingError.dataCorrupted(let context):
        path = context.codingPath
    default: return nil
    }
    if path.first?.stringValue == "parameters" { path.removeFirst(min(level, path.count)) }
    var name = ""
    for key in path {
        if let index = key.intValue {
            name += "[\(index)]"
        } else {
            name += name.isEmpty ? key.stringValue : ".\(key.stringValue)"
        }
    }
    return name.isEmpty ? nil : name
}
