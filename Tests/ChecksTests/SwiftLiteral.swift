import SystemPackage

/// A string literal of a Swift source, as whoever reads the program's output sees it: on one line, and with `…` for
/// what is put in.
struct SwiftLiteral {
    private(set) var text: String
    /// The end of the code before it, without blanks.
    let context: String

    /// The literals of a source. Those that are joined by `+` are one.
    static func all(in source: String) -> [SwiftLiteral] {
        var scanner = Scanner(bytes: Array(source.utf8))
        var literals: [SwiftLiteral] = []
        while let (gap, text) = scanner.next() {
            let code = gap.filter { !$0.isWhitespace }
            if code == "+", let last = literals.indices.last {
                literals[last].text = words(literals[last].text + text)
            } else {
                literals.append(SwiftLiteral(text: words(text), context: String(code.suffix(40))))
            }
        }
        return literals
    }

    private static func words(_ text: String) -> String {
        let isJoinedAtEnd = text.hasSuffix(" ")
        return text.split(whereSeparator: \.isWhitespace).joined(separator: " ") + (isJoinedAtEnd ? " " : "")
    }

    /// Finds literals; knows of Swift no more than what is needed for that.
    private struct Scanner {
        let bytes: [UInt8]
        private var position = 0

        init(bytes: [UInt8]) {
            self.bytes = bytes
        }

        /// The code before the next literal, without comments, and the literal's text.
        mutating func next() -> (gap: String, text: String)? {
            var gap: [UInt8] = []
            while position < bytes.count {
                if has("//") {
                    while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { position += 1 }
                } else if has("\"\"\"") {
                    return (String(decoding: gap, as: UTF8.self), literal(endingIn: "\"\"\""))
                } else if has("\"") {
                    return (String(decoding: gap, as: UTF8.self), literal(endingIn: "\""))
                } else {
                    gap.append(bytes[position])
                    position += 1
                }
            }
            return nil
        }

        private mutating func literal(endingIn delimiter: String) -> String {
            position += delimiter.utf8.count
            var text: [UInt8] = []
            while position < bytes.count, !has(delimiter) {
                if has("\\(") {
                    skipInterpolation()
                    text += Array("…".utf8)
                } else if has("\\") {
                    text += escaped(position + 1 < bytes.count ? bytes[position + 1] : 0)
                    position += 2
                } else {
                    text.append(bytes[position])
                    position += 1
                }
            }
            position += delimiter.utf8.count
            return String(decoding: text, as: UTF8.self)
        }

        private func escaped(_ byte: UInt8) -> [UInt8] {
            switch byte {
            case UInt8(ascii: "\n"), UInt8(ascii: "n"), UInt8(ascii: "t"): [UInt8(ascii: " ")]
            default: [byte]
            }
        }

        private mutating func skipInterpolation() {
            position += 2
            var depth = 1
            while position < bytes.count, depth > 0 {
                if bytes[position] == UInt8(ascii: "(") { depth += 1 }
                if bytes[position] == UInt8(ascii: ")") { depth -= 1 }
                position += 1
            }
        }

        private func has(_ text: String) -> Bool {
            bytes[position...].starts(with: text.utf8)
        }
    }
}
