/// Finds the mistakes that TOMLKit's parser (toml++ 3.4) does not refuse: it ends the process, by an assertion. They are
/// a section's header without a name (`[=`, in `parse_key()`), and a `}` where a list wants a value (`["a", }`, in
/// `parse_value()`).
///
/// Goes through the text as the parser does. It need not know more than strings, comments and brackets: the parser stops
/// at the first mistake of any other kind.
struct ParserGuard {
    struct Mistake {
        /// Both from 1, the column in characters.
        let line: Int
        let column: Int
        let problem: String
        let remedy: String
    }

    private var rest: Substring.UnicodeScalarView
    private var line = 1
    private var column = 1
    /// How many brackets and braces are open.
    private var depth = 0
    private var isAtLineStart = true
    /// The last scalar that was no blank, no comment and no line's end.
    private var previous: Unicode.Scalar?

    private init(_ text: String) {
        rest = text.unicodeScalars[...]
        // The parser passes over a byte order mark.
        if rest.first == "\u{FEFF}" { rest.removeFirst() }
    }

    static func mistake(in text: String) -> Mistake? {
        var parser = ParserGuard(text)
        return parser.find()
    }

    private mutating func find() -> Mistake? {
        while let scalar = rest.first {
            switch scalar {
            case " ", "\t", "\r":
                advance()
                continue
            case "\n":
                advance()
                isAtLineStart = true
                continue
            case "#":
                while let next = rest.first, next != "\n" { advance() }
                continue
            case "\"", "'":
                passString(scalar)
            case "[":
                let isHeader = isAtLineStart && depth == 0
                advance()
                depth += 1
                if isHeader, let mistake = mistakeInHeader() { return mistake }
            case "{":
                advance()
                depth += 1
            case "}" where previous == "[" || previous == ",":
                return mistake("a value or ] is expected, not a }", remedy: "Close the list with a ].")
            case "]", "}":
                advance()
                depth -= 1
            default:
                advance()
            }
            isAtLineStart = false
            previous = scalar
        }
        return nil
    }

    private mutating func mistakeInHeader() -> Mistake? {
        passBlanks()
        if rest.first == "[" {
            advance()
            depth += 1
            passBlanks()
        }
        // Both of the end of the text and of a closing bracket the parser tells by itself.
        guard let first = rest.first else { return nil }
        switch first {
        case "a"..."z", "A"..."Z", "0"..."9", "_", "-", "\"", "'", "]": return nil
        default:
            return mistake(
                "no name of a section follows the [", remedy: "Name the section between brackets: [freeze].")
        }
    }

    private mutating func passBlanks() {
        while rest.first == " " || rest.first == "\t" { advance() }
    }

    /// A string in quotes of one kind, on one line or on several.
    private mutating func passString(_ quote: Unicode.Scalar) {
        let quotes = rest.prefix { $0 == quote }.count
        if quotes == 2 { return advance(2) }
        let isMultiline = quotes > 2
        advance(isMultiline ? 3 : 1)
        while let scalar = rest.first {
            if scalar == "\\", quote == "\"" {
                advance(2)
            } else if scalar != quote {
                if scalar == "\n", !isMultiline { return }
                advance()
            } else if !isMultiline {
                return advance()
            } else {
                // Up to two more belong to the text.
                let closing = rest.prefix(5).prefix { $0 == quote }.count
                advance(closing)
                if closing > 2 { return }
            }
        }
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count {
            guard let scalar = rest.popFirst() else { return }
            column += 1
            if scalar == "\n" { (line, column) = (line + 1, 1) }
        }
    }

    private func mistake(_ problem: String, remedy: String) -> Mistake {
        Mistake(line: line, column: column, problem: problem, remedy: remedy)
    }
}
