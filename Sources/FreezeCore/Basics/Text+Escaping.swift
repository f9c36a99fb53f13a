import SystemPackage

/// One character of text that may not be UTF-8 throughout, as names in a filesystem may not be.
enum TextElement: Hashable {
    case scalar(Unicode.Scalar)
    /// A byte that is not part of well-formed UTF-8.
    case byte(UInt8)

    /// Takes bytes apart; nothing is lost or repaired.
    static func elements(of bytes: [UInt8]) -> [TextElement] {
        var elements: [TextElement] = []
        elements.reserveCapacity(bytes.count)
        var parser = Unicode.UTF8.ForwardParser()
        var iterator = bytes.makeIterator()
        var position = 0
        while true {
            switch parser.parseScalar(from: &iterator) {
            case .valid(let encoded):
                elements.append(.scalar(Unicode.UTF8.decode(encoded)))
                position += encoded.count
            case .error(let length):
                elements += bytes[position..<(position + length)].map(TextElement.byte)
                position += length
            case .emptyInput:
                return elements
            }
        }
    }
}

extension FilePath {
    /// The path's bytes, without the terminating zero.
    public var bytes: [UInt8] {
        withPlatformString { pointer in
            UnsafeBufferPointer(start: pointer, count: length).map { UInt8(bitPattern: $0) }
        }
    }

    /// The path with these bytes, up to the first zero.
    public init(bytes: [UInt8]) {
        self =
            (bytes + [0]).withUnsafeBufferPointer { buffer in
                buffer.withMemoryRebound(to: CChar.self) { $0.baseAddress.map { FilePath(platformString: $0) } }
            } ?? FilePath()
    }

    /// The path as text that is safe on a terminal, in a log line, and in a list with one path a line: see
    /// ``escapedForDisplay(_:)``.
    public var escaped: String { escapedForDisplay(bytes) }

    /// The path that ``escaped`` shows as this text; nil for a text with a zero byte.
    public init?(escaped text: String) {
        let bytes = octalUnescaped(text.utf8)
        guard !bytes.contains(0) else { return nil }
        self.init(bytes: bytes)
    }
}

/// Escapes as mountinfo does (`\040` for a space; also tab, newline and backslash), and in the same way everything
/// else that could change how a terminal or a log shows the rest: control and format characters, separators, and
/// bytes that are not UTF-8. What decodes mountinfo decodes this, and gets every byte back.
public func escapedForDisplay(_ bytes: [UInt8]) -> String {
    var text = ""
    text.reserveCapacity(bytes.count)
    for element in TextElement.elements(of: bytes) {
        switch element {
        case .scalar(let scalar) where scalar == "\\" || scalar == " " || isUnsafeToShow(scalar):
            text += octalEscape(scalar)
        case .scalar(let scalar):
            text.unicodeScalars.append(scalar)
        case .byte(let byte):
            text += octalEscape(byte)
        }
    }
    return text
}

/// Escapes what is unsafe to show in a sentence (a label, a kernel's message), and leaves its spaces.
public func escapedControlCharacters(_ text: some StringProtocol) -> String {
    var result = ""
    for scalar in text.unicodeScalars {
        if isUnsafeToShow(scalar) {
            result += octalEscape(scalar)
        } else {
            result.unicodeScalars.append(scalar)
        }
    }
    return result
}

private func isUnsafeToShow(_ scalar: Unicode.Scalar) -> Bool {
    if scalar.isASCII { return scalar.value < 0x20 || scalar.value == 0x7F }
    switch scalar.properties.generalCategory {
    // Format characters include the ones that turn the direction of writing.
    case .control, .format, .lineSeparator, .paragraphSeparator: return true
    default: return false
    }
}

/// Each byte of the scalar's UTF-8 as a backslash and three octal digits, as in mountinfo.
public func octalEscape(_ scalar: Unicode.Scalar) -> String {
    String(scalar).utf8.map(octalEscape).joined()
}

/// The bytes of a text with octal escapes (fs/seq_file.c: seq_escape_mem): `\054` is a comma. A backslash without three
/// octal digits stays.
func octalUnescaped(_ bytes: some Sequence<UInt8>) -> [UInt8] {
    var result: [UInt8] = []
    var rest = Array(bytes)[...]
    while let byte = rest.popFirst() {
        let digits = rest.prefix(3)
        if byte == UInt8(ascii: "\\"), digits.count == 3, digits.allSatisfy({ (0x30...0x37).contains($0) }) {
            result.append(digits.reduce(0) { $0 &* 8 &+ ($1 - 0x30) })
            rest = rest.dropFirst(3)
        } else {
            result.append(byte)
        }
    }
    return result
}

private func octalEscape(_ byte: UInt8) -> String {
    let digits = String(byte, radix: 8)
    return "\\" + String(repeating: "0", count: 3 - digits.count) + digits
}
