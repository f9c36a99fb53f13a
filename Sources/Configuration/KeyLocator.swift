/// Finds the line and column of a key in TOML text.
///
/// TOMLKit tells where a syntax error is, but not where a key stands. This looks for the ways in which a
/// configuration is written by hand, `[section]` with `key =` below it, or `section.key =`, and answers nil
/// rather than guess where multi-line strings could mislead it.
struct KeyLocator {
    private let text: String

    init(_ text: String) {
        self.text = text
    }

    /// - Parameter key: `section.key`, or `section` for the header (or a key outside all sections).
    /// - Returns: Line and column, both from 1, columns in characters.
    func place(of key: String) -> (line: Int, column: Int)? {
        guard !text.contains("\"\"\""), !text.contains("'''") else { return nil }
        return line(of: key)?.place
    }

    /// The same, and what follows the key's equals sign; also in a text with strings of several lines, whose lines may
    /// look like keys.
    func line(of key: String) -> (place: (line: Int, column: Int), value: String)? {
        let key = Self.bare(key[...])
        var section = ""
        // Split on the line feed's scalar: "\r\n" is one character of its own.
        let lines = text.unicodeScalars.split(separator: "\n", omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            let indentation = line.prefix { $0 == " " || $0 == "\t" }.count
            let content = String(String.UnicodeScalarView(line.dropFirst(indentation)))
            if content.hasPrefix("[") {
                // A list of tables has two brackets.
                section = Self.bare(content.drop { $0 == "[" }.prefix { $0 != "]" })
                if section == key { return ((index + 1, indentation + 1), "") }
            } else if let equals = content.firstIndex(of: "="), !content.hasPrefix("#") {
                let name = Self.bare(content[..<equals])
                if key == (section.isEmpty ? name : "\(section).\(name)") {
                    return ((index + 1, indentation + 1), String(content[equals...].dropFirst()))
                }
            }
        }
        return nil
    }

    /// Without the blanks and quotes that may stand around and between the parts of a key.
    private static func bare(_ key: Substring) -> String {
        key.filter { $0 != " " && $0 != "\t" && $0 != "\"" && $0 != "'" }
    }
}
