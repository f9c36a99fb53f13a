/// Splits the stream of a guest agent's client into values, in the JSON dialect of QEMU (qobject/json-lexer.c,
/// json-streamer.c): values follow each other without separators, strings may be in single quotes, and a value ends
/// with the last bracket.
///
/// A malformed value costs an error reply, and reading continues at the next control character, bracket, colon or
/// comma. 0xFF is malformed everywhere: clients reset the reader with 0xFF.
struct AgentRequestReader {
    /// Bytes of a value without the blanks between tokens: 1 MiB.
    static let longestValue = 1 << 20
    static let mostTokens = 1 << 16
    static let deepestNesting = 64

    private enum State: Equatable {
        case start
        /// After a malformed token, up to the next possible begin of a token.
        case recovery
        /// After a value beyond a limit, up to the next control character or 0xFF.
        case discarding
        case string(quote: UInt8, isEscaped: Bool)
        case keyword
        case number(AgentNumber)
    }

    private var state = State.start
    private var value = AgentTokens()
    private var tokenStart = 0
    private var openBraces = 0
    private var openBrackets = 0

    /// True if a value has begun and is not complete.
    var isInsideValue: Bool { state != .start || !value.isEmpty }

    /// Discards an incomplete value, without a reply.
    mutating func reset() {
        self = AgentRequestReader()
    }

    /// Reads more bytes.
    ///
    /// - Returns: The completed values and errors, in order.
    mutating func read(_ bytes: some Sequence<UInt8>) -> [Result<AgentValue, AgentError>] {
        var results: [Result<AgentValue, AgentError>] = []
        for byte in bytes { read(byte, &results) }
        return results
    }

    // MARK: Tokens

    private mutating func read(_ byte: UInt8, _ results: inout [Result<AgentValue, AgentError>]) {
        switch state {
        case .start: begin(byte, &results)
        case .recovery:
            guard byte < 0x20 || byte >= 0xFE || Self.structural(byte) != nil else { return }
            state = .start
            begin(byte, &results)
        case .discarding:
            guard byte < 0x20 || byte == 0xFF else { return }
            state = .start
            begin(byte, &results)
        case .string(let quote, let isEscaped):
            guard 0x20...0xFD ~= byte else { return stray(byte, &results) }
            add(byte, &results)
            if state == .discarding { return }
            if byte == quote, !isEscaped { return end(.string, &results) }
            state = .string(quote: quote, isEscaped: byte == UInt8(ascii: "\\") && !isEscaped)
        case .keyword:
            if UInt8(ascii: "a")...UInt8(ascii: "z") ~= byte { return add(byte, &results) }
            end(.keyword, &results)
            read(byte, &results)
        case .number(let number):
            if let next = number.next(byte) {
                state = .number(next)
                return add(byte, &results)
            }
            guard number.isComplete, number != .zero || !(decimalDigits ~= byte) else {
                return stray(byte, &results)
            }
            end(.number, &results)
            read(byte, &results)
        }
    }

    private mutating func begin(_ byte: UInt8, _ results: inout [Result<AgentValue, AgentError>]) {
        if [0x20, 0x09, 0x0A, 0x0D].contains(byte) { return }
        tokenStart = value.text.count
        if let kind = Self.structural(byte) {
            add(byte, &results)
            if state == .discarding { return }
            return end(kind, &results)
        }
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "'"): state = .string(quote: byte, isEscaped: false)
        case UInt8(ascii: "a")...UInt8(ascii: "z"): state = .keyword
        default:
            guard let number = AgentNumber(first: byte) else { return stray(byte, &results) }
            state = .number(number)
        }
        add(byte, &results)
    }

    private static func structural(_ byte: UInt8) -> AgentTokens.Kind? {
        switch byte {
        case UInt8(ascii: "{"): .openingBrace
        case UInt8(ascii: "}"): .closingBrace
        case UInt8(ascii: "["): .openingBracket
        case UInt8(ascii: "]"): .closingBracket
        case UInt8(ascii: ":"): .colon
        case UInt8(ascii: ","): .comma
        default: nil
        }
    }

    private mutating func add(_ byte: UInt8, _ results: inout [Result<AgentValue, AgentError>]) {
        value.text.append(byte)
        if value.text.count > Self.longestValue { exceed("size", &results) }
    }

    private mutating func stray(_ byte: UInt8, _ results: inout [Result<AgentValue, AgentError>]) {
        value.text.append(byte)
        let token = value.text[tokenStart...].prefix { $0 != 0 }
        results.append(.failure(.malformed("stray '\(String(decoding: token, as: UTF8.self))'")))
        reset()
        state = .recovery
    }

    private mutating func exceed(_ limit: String, _ results: inout [Result<AgentValue, AgentError>]) {
        results.append(.failure(AgentError(.generic, "JSON token \(limit) limit exceeded")))
        reset()
        state = .discarding
    }

    // MARK: Values

    /// Ends a token, and perhaps the value.
    private mutating func end(_ kind: AgentTokens.Kind, _ results: inout [Result<AgentValue, AgentError>]) {
        state = .start
        value.append(kind, tokenStart..<value.text.count)
        switch kind {
        case .openingBrace: openBraces += 1
        case .closingBrace: openBraces -= 1
        case .openingBracket: openBrackets += 1
        case .closingBracket: openBrackets -= 1
        default: break
        }
        if (openBraces > 0 || openBrackets > 0) && openBraces >= 0 && openBrackets >= 0 {
            if openBraces + openBrackets > Self.deepestNesting {
                results.append(.failure(AgentError(.generic, "JSON nesting depth limit exceeded")))
                reset()
                state = .discarding
            } else if value.count > Self.mostTokens {
                exceed("count", &results)
            }
            return
        }
        var parser = AgentParser(value)
        reset()
        results.append(Result { () throws(AgentError) in try parser.parse() })
    }
}

/// The tokens of a value, without the blanks between tokens.
struct AgentTokens {
    enum Kind: UInt8 {
        case openingBrace, closingBrace, openingBracket, closingBracket, colon, comma, string, number, keyword
    }

    var text: [UInt8] = []
    private var kinds: [Kind] = []
    private var ends: [UInt32] = []

    var isEmpty: Bool { kinds.isEmpty }
    var count: Int { kinds.count }

    mutating func append(_ kind: Kind, _ range: Range<Int>) {
        kinds.append(kind)
        ends.append(UInt32(range.upperBound))
    }

    func kind(_ index: Int) -> Kind { kinds[index] }
    func start(_ index: Int) -> Int { index == 0 ? 0 : Int(ends[index - 1]) }
    func text(_ index: Int) -> ArraySlice<UInt8> { text[start(index)..<Int(ends[index])] }
}
