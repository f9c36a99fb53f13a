/// Damages bytes: as bytes, or as the tokens that a text is made of.
struct Mutation {
    /// Pieces that mean something to the parser.
    let dictionary: [[UInt8]]

    init(_ dictionary: [String]) {
        self.dictionary = dictionary.map { Array($0.utf8) } + Self.common
    }

    init(bytes: [[UInt8]] = []) {
        dictionary = bytes + Self.common
    }

    private static let common: [[UInt8]] =
        [
            "", " ", "\n", "\r\n", "\t", "\0", "-1", "0", "1", "4294967295", "4294967296", "9223372036854775807",
            "9223372036854775808", "18446744073709551615", "1e999", "\"", "'", "\\", "\\040", "/", ":", "=", "é",
            "\u{202E}", "\u{1B}[2J", "🧊",
        ].map { Array($0.utf8) } + [
            [0xFF], [0xC3], [0x80], [0xED, 0xA0, 0x80], [UInt8](repeating: 0xFF, count: 8),
        ]

    /// A few mutations of one kind or the other.
    func mutated(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var result = bytes
        for _ in 0...random.below(random.oneIn(4) ? 12 : 3) {
            result = random.oneIn(2) ? mutatedTokens(result, &random) : mutatedBytes(result, &random)
        }
        return result
    }

    func mutatedBytes(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var result = bytes
        let place = random.below(bytes.count + 1)
        let count = random.below(min(bytes.count - place, 16) + 1)
        switch random.below(8) {
        case 0 where place < bytes.count: result[place] ^= 1 << UInt8(random.below(8))
        case 1 where place < bytes.count: result[place] = random.byte()
        case 2: result.insert(contentsOf: random.bytes(1 + random.below(4)), at: place)
        case 3: result.removeSubrange(place..<(place + count))
        case 4: result.insert(contentsOf: bytes[place..<(place + count)], at: random.below(bytes.count + 1))
        case 5: result.insert(contentsOf: random.one(of: dictionary), at: place)
        case 6: result.replaceSubrange(place..<(place + count), with: random.one(of: dictionary))
        default: result.removeLast(random.oneIn(8) ? bytes.count - place : 0)
        }
        return result
    }

    func mutatedTokens(_ bytes: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        var tokens = Self.tokens(of: bytes)
        guard !tokens.isEmpty else { return random.one(of: dictionary) }
        let place = random.below(tokens.count)
        let other = random.below(tokens.count)
        switch random.below(7) {
        case 0: tokens.remove(at: place)
        case 1: tokens.insert(tokens[place], at: other)
        case 2: tokens.swapAt(place, other)
        case 3: tokens[place] = tokens[other]
        case 4: tokens[place] = random.one(of: dictionary)[...]
        case 5: tokens.insert(random.one(of: dictionary)[...], at: place)
        default:
            // A whole stretch once more.
            let end = place + random.below(min(tokens.count - place, 20) + 1)
            tokens.insert(contentsOf: tokens[place..<end], at: other)
        }
        return Array(tokens.joined())
    }

    /// Words, quoted strings with their quotes, and single bytes of anything else.
    private static func tokens(of bytes: [UInt8]) -> [ArraySlice<UInt8>] {
        var tokens: [ArraySlice<UInt8>] = []
        var start = 0
        while start < bytes.count {
            var end = start + 1
            if bytes[start] == UInt8(ascii: "\"") {
                while end < bytes.count, bytes[end] != UInt8(ascii: "\"") { end += 1 }
                end = min(end + 1, bytes.count)
            } else if isWord(bytes[start]) {
                while end < bytes.count, isWord(bytes[end]) { end += 1 }
            }
            tokens.append(bytes[start..<end])
            start = end
        }
        return tokens
    }

    private static func isWord(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
            0x80...:
            true
        default: false
        }
    }
}
