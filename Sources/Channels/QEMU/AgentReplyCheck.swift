/// Whether a line of qemu-ga is a reply: a JSON object (RFC 8259) with a member `return` or `error`. After any other line
/// libvirt ignores the agent until the port is closed.
///
/// A reply can have megabytes: the check is a single pass, without a copy and without recursion.
struct AgentReplyCheck {
    /// The most levels of objects and lists: the limit of qemu-ga for requests (qobject/json-streamer.c).
    static let deepestNesting = 1024

    private enum Expected {
        case value, elementOrEnd, name, nameOrEnd, colon, commaOrEnd
    }

    private let text: ArraySlice<UInt8>
    private var next: Int
    /// The objects and lists around the place: true for an object.
    private var levels: [Bool] = []
    private var hasResult = false

    private init(_ text: ArraySlice<UInt8>) {
        self.text = text
        next = text.startIndex
    }

    static func isReply(_ line: ArraySlice<UInt8>) -> Bool {
        var check = AgentReplyCheck(line)
        return check.readObject() && check.nextByteAfterBlanks() == nil && check.hasResult
    }

    private mutating func readObject() -> Bool {
        guard nextByteAfterBlanks() == UInt8(ascii: "{") else { return false }
        levels = [true]
        var expected = Expected.nameOrEnd
        while let isInObject = levels.last {
            guard let byte = nextByteAfterBlanks() else { return false }
            switch (expected, byte) {
            case (.value, UInt8(ascii: "{")), (.elementOrEnd, UInt8(ascii: "{")):
                levels.append(true)
                expected = .nameOrEnd
            case (.value, UInt8(ascii: "[")), (.elementOrEnd, UInt8(ascii: "[")):
                levels.append(false)
                expected = .elementOrEnd
            case (.nameOrEnd, UInt8(ascii: "}")), (.elementOrEnd, UInt8(ascii: "]")),
                (.commaOrEnd, isInObject ? UInt8(ascii: "}") : UInt8(ascii: "]")):
                levels.removeLast()
                expected = .commaOrEnd
            case (.commaOrEnd, UInt8(ascii: ",")): expected = isInObject ? .name : .value
            case (.colon, UInt8(ascii: ":")): expected = .value
            case (.name, UInt8(ascii: "\"")), (.nameOrEnd, UInt8(ascii: "\"")):
                guard readName() else { return false }
                expected = .colon
            case (.value, _), (.elementOrEnd, _):
                guard readScalar(byte) else { return false }
                expected = .commaOrEnd
            default: return false
            }
            guard levels.count <= Self.deepestNesting else { return false }
        }
        return true
    }

    private mutating func nextByte() -> UInt8? {
        guard next < text.endIndex else { return nil }
        defer { next += 1 }
        return text[next]
    }

    private mutating func nextByteAfterBlanks() -> UInt8? {
        while let byte = nextByte() {
            if !Self.isBlank(byte) { return byte }
        }
        return nil
    }

    static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0A || byte == 0x0D }

    private mutating func readName() -> Bool {
        let start = next
        guard readString() else { return false }
        if levels.count == 1 {
            let name = text[start..<next - 1]
            hasResult = hasResult || name.elementsEqual("return".utf8) || name.elementsEqual("error".utf8)
        }
        return true
    }

    /// Reads the rest of a string, number or keyword.
    private mutating func readScalar(_ first: UInt8) -> Bool {
        switch first {
        case UInt8(ascii: "\""): readString()
        case UInt8(ascii: "t"): skip("rue")
        case UInt8(ascii: "f"): skip("alse")
        case UInt8(ascii: "n"): skip("ull")
        default: readNumber(first)
        }
    }

    private mutating func skip(_ rest: StaticString) -> Bool {
        let end = next + rest.utf8CodeUnitCount
        guard end <= text.endIndex,
            rest.withUTF8Buffer({ text[next..<end].elementsEqual($0) })
        else { return false }
        next = end
        return true
    }

    private mutating func readNumber(_ first: UInt8) -> Bool {
        guard var number = AgentNumber(first: first) else { return false }
        while next < text.endIndex {
            let byte = text[next]
            // QEMU's dialect has no exponent after 0.
            let isExponent = number == .zero && (byte == UInt8(ascii: "e") || byte == UInt8(ascii: "E"))
            guard let longer = isExponent ? .exponent : number.next(byte) else { break }
            number = longer
            next += 1
        }
        return number.isComplete
    }

    // MARK: Strings

    /// Reads up to the closing quote.
    private mutating func readString() -> Bool {
        while let byte = nextByte() {
            switch byte {
            case UInt8(ascii: "\""): return true
            case UInt8(ascii: "\\"): guard readEscape() else { return false }
            case 0x20...0x7F: continue
            case 0x80...: guard readSequence(byte) else { return false }
            default: return false
            }
        }
        return false
    }

    private mutating func readEscape() -> Bool {
        switch nextByte() {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return true
        case UInt8(ascii: "u"):
            let digits = text[next...].prefix(4)
            next += digits.count
            return digits.count == 4 && digits.allSatisfy(Self.isHexadecimal)
        default: return false
        }
    }

    private static func isHexadecimal(_ byte: UInt8) -> Bool {
        switch byte {
        case decimalDigits, UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"): true
        default: false
        }
    }

    /// Reads the rest of a character of UTF-8 (The Unicode Standard, table 3-7).
    private mutating func readSequence(_ first: UInt8) -> Bool {
        let (count, second): (Int, ClosedRange<UInt8>)
        switch first {
        case 0xC2...0xDF: (count, second) = (2, 0x80...0xBF)
        case 0xE0: (count, second) = (3, 0xA0...0xBF)
        case 0xED: (count, second) = (3, 0x80...0x9F)
        case 0xE1...0xEF: (count, second) = (3, 0x80...0xBF)
        case 0xF0: (count, second) = (4, 0x90...0xBF)
        case 0xF1...0xF3: (count, second) = (4, 0x80...0xBF)
        case 0xF4: (count, second) = (4, 0x80...0x8F)
        default: return false
        }
        let rest = text[next...].prefix(count - 1)
        next += rest.count
        return rest.count == count - 1 && rest.first.map(second.contains) == true
            && rest.dropFirst().allSatisfy { 0x80...0xBF ~= $0 }
    }
}
