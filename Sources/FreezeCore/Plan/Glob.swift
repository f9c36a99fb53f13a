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
    /// What every match begins with, in UTF-8.
    private let literalPrefix: [UInt8]
    /// True if it can match one text only.
    public let isLiteral: Bool

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
        var prefix = String.UnicodeScalarView()
        for token in tokens {
            guard case .literal(let value) = token, let scalar = Unicode.Scalar(value) else { break }
            prefix.append(scalar)
        }
        literalPrefix = Array(String(prefix).utf8)
        isLiteral = prefix.count == tokens.count
    }

    public func matches(_ path: FilePath) -> Bool { matches(path.bytes) }
    public func matches(_ text: String) -> Bool { matches(Array(text.utf8)) }

    private func matches(_ bytes: [UInt8]) -> Bool {
        // Most names differ early from most patterns.
        guard bytes.starts(with: literalPrefix) else { return false }
        if isLiteral { return bytes.count == literalPrefix.count }
        // Bytes that are not UTF-8 get numbers that no pattern can spell: only a wildcard matches them.
        let text: [UInt32] = TextElement.elements(of: bytes).map { element in
            switch element {
            case .scalar(let scalar): scalar.value
            case .byte(let byte): 0x11_0000 + UInt32(byte)
            }
        }
        // All positions in the pattern that the text so far can have led to, side by side: the time is bounded by the
        // product of the lengths, whatever the pattern. It comes from a file and meets names chosen by others.
        var reached = [Bool](repeating: false, count: tokens.count + 1)
        reached[0] = true
        skipEmptyWildcards(&reached)
        for character in text {
            var next = [Bool](repeating: false, count: tokens.count + 1)
            for (position, token) in tokens.enumerated() where reached[position] {
                switch token {
                case .anything: next[position] = true
                case .anyInComponent: if character != slash { next[position] = true }
                default: if accepts(token, character) { next[position + 1] = true }
                }
            }
            skipEmptyWildcards(&next)
            reached = next
        }
        return reached[tokens.count]
    }

    /// A `*` may stand for nothing.
    private func skipEmptyWildcards(_ reached: inout [Bool]) {
        for (position, token) in tokens.enumerated() where reached[position] {
            if token == .anything || token == .anyInComponent { reached[position + 1] = true }
        }
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
