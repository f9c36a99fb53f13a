import FreezeCore

/// What a terminal can show.
public enum TextStyle: Sendable, Hashable, CaseIterable {
    case unicode
    /// For a locale that is not UTF-8: what is not ASCII is escaped.
    case ascii

    public var ellipsis: String { self == .unicode ? "…" : "..." }
    /// Encloses a drawing.
    public var border: String { self == .unicode ? "│" : "|" }
    /// A stretch of time in a drawing.
    public var bar: Character { self == .unicode ? "━" : "=" }
    /// The stretch that stands out.
    public var heavyBar: Character { self == .unicode ? "█" : "#" }

    /// The text with everything escaped that this terminal cannot, or must not, be sent. What is escaped already
    /// stays as it is.
    public func safe(_ text: some StringProtocol) -> String {
        let escaped = escapedControlCharacters(text)
        guard self == .ascii, !escaped.utf8.allSatisfy({ $0 < 0x80 }) else { return escaped }
        return escaped.unicodeScalars.map { scalar in
            scalar.isASCII ? String(scalar) : octalEscape(scalar)
        }.joined()
    }

    /// The text in at most `width` columns, its end left out.
    public func truncated(_ text: String, to width: Int) -> String {
        text.displayWidth > width ? text.prefix(columns: width - ellipsis.count) + ellipsis : text
    }

    /// The text in at most `width` columns, its middle left out: in a path, the first and the last part say most.
    public func shortened(_ text: String, to width: Int) -> String {
        guard text.displayWidth > width else { return text }
        let room = width - ellipsis.count
        guard room > 1 else { return String(text.prefix(columns: width)) }
        return text.prefix(columns: room / 2) + ellipsis + text.suffix(columns: room - room / 2)
    }

    /// Texts side by side, each in at most `width` columns. Where the middle is what tells them apart, what they
    /// begin with in common goes first.
    public func shortened(_ texts: [String], to width: Int) -> [String] {
        let short = texts.map { shortened($0, to: width) }
        return zip(texts, short).map { text, label in
            let alike = zip(texts, short).filter { $0.1 == label }.map(\.0)
            let common = alike.reduce(text.count) { count, other in
                min(count, zip(text, other).prefix { $0 == $1 }.count)
            }
            guard common < text.count else { return label }
            // From the component in which they differ, or where it is too long, from the difference.
            let difference = text.index(text.startIndex, offsetBy: common)
            let component = text[..<difference].lastIndex(of: "/").map(text.index(after:)) ?? text.startIndex
            let room = max(0, width - 2 * ellipsis.count)
            let isNear = text[component..<difference].displayWidth < room
            let rest = text[(isNear ? component : difference)...]
            return ellipsis + (rest.displayWidth > room ? rest.prefix(columns: room) + ellipsis : rest)
        }
    }
}
