import FreezeCore

/// What a terminal can show.
public enum TextStyle: Sendable, Hashable, CaseIterable {
    case unicode
    /// For a locale that is not UTF-8: what is not ASCII is escaped.
    case ascii

    var ellipsis: String { self == .unicode ? "…" : "..." }
    var border: String { self == .unicode ? "│" : "|" }
    var bar: Character { self == .unicode ? "━" : "=" }
    var frozenBar: Character { self == .unicode ? "█" : "#" }

    /// The text with everything escaped that this terminal cannot, or must not, be sent. What is escaped already
    /// stays as it is.
    func safe(_ text: some StringProtocol) -> String {
        let escaped = escapedControlCharacters(text)
        guard self == .ascii, !escaped.utf8.allSatisfy({ $0 < 0x80 }) else { return escaped }
        return escaped.unicodeScalars.map { scalar in
            scalar.isASCII ? String(scalar) : octalEscape(scalar)
        }.joined()
    }

    /// The text in at most `width` characters, its middle left out: in a path, the first and the last part say most.
    func shortened(_ text: String, to width: Int) -> String {
        guard text.count > width else { return text }
        let room = width - ellipsis.count
        guard room > 1 else { return String(text.prefix(max(width, 0))) }
        return text.prefix(room / 2) + ellipsis + text.suffix(room - room / 2)
    }

    /// Texts side by side, each in at most `width` characters. Where the middle is what tells them apart, what they
    /// begin with in common goes first.
    func shortened(_ texts: [String], to width: Int) -> [String] {
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
            let rest = text[(text.distance(from: component, to: difference) < room ? component : difference)...]
            return ellipsis + (rest.count > room ? rest.prefix(room) + ellipsis : rest)
        }
    }
}

/// Breaks text into lines between words, and in a word that is longer than a line.
func wrapped(_ text: String, width: Int) -> [String] {
    var lines: [String] = []
    var line = ""
    for var word in text.split(separator: " ") {
        if !line.isEmpty, line.count + 1 + word.count <= width {
            line += " " + word
            continue
        }
        if !line.isEmpty { lines.append(line) }
        while word.count > width {
            lines.append(String(word.prefix(width)))
            word = word.dropFirst(width)
        }
        line = String(word)
    }
    if !line.isEmpty { lines.append(line) }
    return lines
}

/// Puts spaces before the text, up to the width.
func leftPadded(_ text: String, to width: Int) -> String {
    String(repeating: " ", count: max(0, width - text.count)) + text
}

/// Puts spaces behind the text, up to the width.
func rightPadded(_ text: String, to width: Int) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
}

/// A number with two decimals. Without locale, and without a trap for what a damaged record may hold.
func fixedPoint(_ number: Double) -> String {
    let hundredths = Int64((clamped(number) * 100).rounded())
    let (whole, fraction) = hundredths.magnitude.quotientAndRemainder(dividingBy: 100)
    return (hundredths < 0 ? "-" : "") + "\(whole)." + (fraction < 10 ? "0" : "") + "\(fraction)"
}

/// A duration in the unit that suits it.
func readableDuration(milliseconds: Double) -> String {
    if milliseconds < 1000 { return "\(fixedPoint(milliseconds)) ms" }
    if milliseconds < 60_000 { return "\(fixedPoint(milliseconds / 1000)) s" }
    let seconds = Int64(clamped(milliseconds / 1000).rounded())
    return "\(seconds / 60) min \(seconds % 60) s"
}

private func clamped(_ number: Double) -> Double {
    number.isNaN ? 0 : min(max(number, -1e9), 1e9)
}
