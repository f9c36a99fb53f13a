/// Makes a value of tokens, with the error texts of QEMU (qobject/json-parser.c).
struct AgentParser {
    private let tokens: AgentTokens
    private var next = 0

    init(_ tokens: AgentTokens) {
        self.tokens = tokens
    }

    /// The value. Tokens after a value are left: a bracket too many ends a value, and the value is complete then.
    mutating func parse() throws(AgentError) -> AgentValue {
        guard next < tokens.count else { throw .malformed("expecting value") }
        let index = next
        next += 1
        switch tokens.kind(index) {
        case .openingBrace: return .object(try parseMembers())
        case .openingBracket: return .list(try parseElements())
        case .string: return .string(try string(index))
        case .number: return .number(String(decoding: tokens.text(index), as: UTF8.self))
        case .keyword:
            switch String(decoding: tokens.text(index), as: UTF8.self) {
            case "null": return .null
            case "true": return .bool(true)
            case "false": return .bool(false)
            case let other: throw .malformed("invalid keyword '\(other)'")
            }
        case .closingBrace, .closingBracket, .colon, .comma: throw .malformed("expecting value")
        }
    }

    private mutating func parseMembers() throws(AgentError) -> [AgentMember] {
        if skip(.closingBrace) { return [] }
        var members: [AgentMember] = []
        var names: Set<String> = []
        while true {
            guard case .string(let name) = try parse() else {
                throw .malformed("key is not a string in object")
            }
            guard skip(.colon) else { throw .malformed("missing : in object pair") }
            let first = next
            let value = try parse()
            guard names.insert(name).inserted else { throw .malformed("duplicate key") }
            let text = tokens.text[tokens.start(first)..<tokens.start(next)]
            members.append(AgentMember(name: name, value: value, text: text))
            if skip(.closingBrace) { return members }
            guard skip(.comma) else { throw .malformed("expected separator in dict") }
        }
    }

    private mutating func parseElements() throws(AgentError) -> [AgentValue] {
        if skip(.closingBracket) { return [] }
        var values: [AgentValue] = []
        while true {
            values.append(try parse())
            if skip(.closingBracket) { return values }
            guard skip(.comma) else { throw .malformed("expected separator in list") }
        }
    }

    private mutating func skip(_ kind: AgentTokens.Kind) -> Bool {
        guard next < tokens.count, tokens.kind(next) == kind else { return false }
        next += 1
        return true
    }

    // MARK: Strings

    private func string(_ index: Int) throws(AgentError) -> String {
        let token = tokens.text(index)
        // Between the quotes.
        var rest = token.dropFirst().dropLast()
        var result = String.UnicodeScalarView()
        while let byte = rest.first {
            if byte == UInt8(ascii: "\\") {
                result.append(try Self.escape(&rest, token))
            } else {
                guard let scalar = Self.scalar(&rest) else {
                    throw .malformed("invalid UTF-8 sequence in string")
                }
                result.append(scalar)
            }
        }
        return String(result)
    }

    private static func escape(
        _ rest: inout ArraySlice<UInt8>, _ token: ArraySlice<UInt8>
    ) throws(AgentError) -> Unicode.Scalar {
        let start = rest.startIndex
        let letter = rest.dropFirst().first
        rest = rest.dropFirst(2)
        switch letter {
        case UInt8(ascii: "\""): return "\""
        case UInt8(ascii: "'"): return "'"
        case UInt8(ascii: "\\"): return "\\"
        case UInt8(ascii: "/"): return "/"
        case UInt8(ascii: "b"): return "\u{8}"
        case UInt8(ascii: "f"): return "\u{C}"
        case UInt8(ascii: "n"): return "\n"
        case UInt8(ascii: "r"): return "\r"
        case UInt8(ascii: "t"): return "\t"
        case UInt8(ascii: "u"): break
        default: throw .malformed("invalid escape sequence in string")
        }
        var units = [hexadecimal(&rest)].compactMap(\.self)
        if let high = units.first, UTF16.isLeadSurrogate(high), rest.starts(with: Array("\\u".utf8)) {
            rest = rest.dropFirst(2)
            if let low = hexadecimal(&rest) { units.append(low) }
        }
        var decoder = UTF16()
        var iterator = units.makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator), isCharacter(scalar),
            iterator.next() == nil
        else {
            let text = String(decoding: token[start...].prefix(6), as: UTF8.self)
            throw .malformed("\(text) is not a valid Unicode character")
        }
        return scalar
    }

    private static func hexadecimal(_ rest: inout ArraySlice<UInt8>) -> UInt16? {
        let digits = rest.prefix(4)
        guard digits.count == 4, digits.allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }) else {
            return nil
        }
        rest = rest.dropFirst(4)
        return UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
    }

    /// A character of modified UTF-8, where 0xC0 0x80 is NUL. Nil for an invalid sequence and for a noncharacter.
    private static func scalar(_ rest: inout ArraySlice<UInt8>) -> Unicode.Scalar? {
        if rest.starts(with: [0xC0, 0x80]) {
            rest = rest.dropFirst(2)
            return "\0"
        }
        var decoder = UTF8()
        var iterator = rest.prefix(4).makeIterator()
        guard case .scalarValue(let scalar) = decoder.decode(&iterator), isCharacter(scalar) else { return nil }
        rest = rest.dropFirst(UTF8.width(scalar))
        return scalar
    }

    /// False for the 66 noncharacters of Unicode.
    private static func isCharacter(_ scalar: Unicode.Scalar) -> Bool {
        !(0xFDD0...0xFDEF ~= scalar.value) && scalar.value & 0xFFFE != 0xFFFE
    }
}
