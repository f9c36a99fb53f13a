// Columns on a terminal: an approximation that counts characters, and wide ones twice. Never less than a terminal
// takes, so that what fits here fits there.

extension StringProtocol {
    /// How many columns it takes.
    public var displayWidth: Int {
        reduce(0) { $0 + $1.displayWidth }
    }

    /// The longest beginning that fits.
    public func prefix(columns: Int) -> SubSequence {
        var room = columns
        return prefix { character in
            room -= character.displayWidth
            return room >= 0
        }
    }

    /// The longest end that fits.
    public func suffix(columns: Int) -> SubSequence {
        var room = columns
        var start = endIndex
        while start > startIndex {
            let previous = index(before: start)
            room -= self[previous].displayWidth
            if room < 0 { break }
            start = previous
        }
        return self[start...]
    }

    /// With spaces behind it up to the width, or, at the right, before it.
    public func padded(to width: Int, _ alignment: TextAlignment = .left) -> String {
        let spaces = String(repeating: " ", count: Swift.max(width - displayWidth, 0))
        return alignment == .left ? self + spaces : spaces + self
    }

    /// Without the spaces at its end.
    var withoutTrailingSpaces: SubSequence {
        var text = self[...]
        while text.last == " " { text.removeLast() }
        return text
    }
}

/// Which edge of its column a text keeps to.
public enum TextAlignment: Sendable, Hashable {
    case left
    /// For numbers.
    case right
}

extension Character {
    fileprivate var displayWidth: Int {
        // A sequence with the emoji variation selector is shown as an emoji.
        if unicodeScalars.contains("\u{FE0F}") { return 2 }
        // East Asian wide and fullwidth blocks, and emoji (UAX #11).
        return switch unicodeScalars.first?.value ?? 0 {
        case 0x1100...0x115F, 0x231A...0x231B, 0x2329...0x232A, 0x23E9...0x23F3, 0x25FD...0x25FE, 0x2614...0x2615,
            0x2648...0x27BF, 0x2B1B...0x2B55, 0x2E80...0xA4CF, 0xA960...0xA97F, 0xAC00...0xD7A3, 0xF900...0xFAFF,
            0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x16FE0...0x18DFF, 0x1AFF0...0x1B2FF,
            0x1F000...0x1FAFF, 0x20000...0x3FFFD:
            2
        default: 1
        }
    }
}
