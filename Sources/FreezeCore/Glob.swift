import SystemPackage

/// A shell pattern for paths: `*` and `?` stay within one path component, `**` does not, `[a-z]` and `[!a-z]` name
/// one character, and a backslash takes the next character for itself.
public struct Glob: Hashable, Sendable, CustomStringConvertible {
    private enum Token: Hashable, Sendable {
        case literal(UInt32)
        case anyCharacter
        case anyInComponent
        case anything
        case oneOf([ClosedRange<UInt32>], isNegated: Bool)
    }

    public let description: String
    private let tokens: [Token]

    /// - Returns: nil if a bracket is not closed, a range runs backwards, or a backslash ends the pattern.
    public init?(_ pattern: String) {
        description = pattern
        var tokens: [Token] = []
        var rest = pattern.unicodeScalars[...]
        while let scalar = rest.popFirst() {
            switch scalar {
            case "*":
                let isDouble = rest.first == "*"
                while rest.first == "*" { rest.removeFirst() }
                tokens.append(isDouble ? .anything : .anyInComponent)
            case "?":
                tokens.append(.anyCharacter)
            case "[":
                guard let token = Glob.bracket(&rest) else { return nil }
                tokens.append(token)
            case "\\":
                guard let literal = rest.popFirst() else { return nil }
                tokens.append(.literal(literal.value))
            default:
                tokens.append(.literal(scalar.value))
            }
        }
        self.tokens = tokens
    }

    /// True if it can match one text only.
    public var isLiteral: Bool {
        tokens.allSatisfy { if case .literal = $0 { true } else { false } }
    }

    public func matches(_ path: FilePath) -> Bool { matches(path.bytes) }
    public func matches(_ text: String) -> Bool { matches(Array(text.utf8)) }

    private func matches(_ bytes: [UInt8]) -> Bool {
        // Bytes that are not UTF-8 get numbers that no pattern can spell: only a wildcard matches them.
        let text: [UInt32] = TextElement.elements(of: bytes).map { element in
            switch element {
            case .scalar(let scalar): scalar.value
            case .byte(let byte): 0x11_0000 + UInt32(byte)
            }
        }
        // The set of positions in the pattern that the text so far can have reached: linear in both, whatever
        // the pattern, since it comes from a file and matches names chosen by others.
        var reached = closure([0])
        for character in text {
            var next: Set<Int> = []
            for position in reached where position < tokens.count {
                switch tokens[position] {
                case .anything: next.insert(position)
                case .anyInComponent where character != slash: next.insert(position)
                case let token where accepts(token, character): next.insert(position + 1)
                default: break
                }
            }
            if next.isEmpty { return false }
            reached = closure(next)
        }
        return reached.contains(tokens.count)
    }

    /// Adds the positions that are reached without a further character: `*` may stand for nothing.
    private func closure(_ positions: Set<Int>) -> Set<Int> {
        var result = positions
        for var position in positions {
            while position < tokens.count, tokens[position] == .anything || tokens[position] == .anyInComponent {
                position += 1
                result.insert(position)
            }
        }
        return result
    }

    private func accepts(_ token: Token, _ character: UInt32) -> Bool {
        switch token {
        case .literal(let literal): character == literal
        case .anyCharacter: character != slash
        case .oneOf(let ranges, let isNegated):
            character != slash && ranges.contains { $0.contains(character) } != isNegated
        case .anyInComponent, .anything: false
        }
    }

    private static func bracket(_ rest: inout Substring.UnicodeScalarView) -> Token? {
        var isNegated = false
        if rest.first == "!" || rest.first == "^" {
            isNegated = true
            rest.removeFirst()
        }
        var ranges: [ClosedRange<UInt32>] = []
        while let scalar = rest.popFirst() {
            // A bracket that comes first is a member, as in the shell.
            if scalar == "]", !ranges.isEmpty { return .oneOf(ranges, isNegated: isNegated) }
            guard let first = scalar == "\\" ? rest.popFirst() : scalar else { return nil }
            guard rest.first == "-", let last = rest.dropFirst().first, last != "]" else {
                ranges.append(first.value...first.value)
                continue
            }
            rest.removeFirst(2)
            guard first.value <= last.value else { return nil }
            ranges.append(first.value...last.value)
        }
        return nil
    }
}

private let slash = UInt32(UInt8(ascii: "/"))
