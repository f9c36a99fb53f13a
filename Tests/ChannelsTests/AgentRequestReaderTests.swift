import Testing

@testable import Channels

/// The JSON dialect of QEMU's guest agent. `AgentDifferentialTests` compares the reader with qemu-ga.
@Suite struct AgentRequestReaderTests {
    private func read(_ text: String) -> [String] {
        var reader = AgentRequestReader()
        return reader.read(text.utf8).map(description)
    }

    private func description(_ result: Result<AgentValue, AgentError>) -> String {
        switch result {
        case .success(let value): value.encoded
        case .failure(let error): error.description
        }
    }

    @Test func `values need no separator, and end when their brackets balance`() {
        #expect(read("{'a':[1,{}]}{}[]\"x\"5 true{") == ["{\"a\": [1, {}]}", "{}", "[]", "\"x\"", "5", "true"])
    }

    @Test func `a request may come byte by byte`() {
        var reader = AgentRequestReader()
        let text = "{\"execute\":\"guest-\\u0070ing\",\"id\":[1.50,-0]}"
        let results = text.utf8.flatMap { reader.read([$0]) }
        #expect(results.map(description) == ["{\"execute\": \"guest-ping\", \"id\": [1.50, -0]}"])
        #expect(!reader.isInsideValue)
    }

    @Test func `0xFF discards an unfinished request, with an error`() {
        var reader = AgentRequestReader()
        #expect(reader.read("{\"execute\":\"guest-p".utf8).isEmpty)
        #expect(reader.isInsideValue)
        let results = reader.read([0xFF] + Array("{}".utf8))
        #expect(
            results.map(description) == ["JSON parse error, stray '\"guest-p\u{FFFD}'", "{}"])
    }

    @Test(arguments: [
        ("nul ", "invalid keyword 'nul'"), ("}", "expecting value"), ("{\"a\" 1}", "missing : in object pair"),
        ("{1:2}", "key is not a string in object"), ("{\"a\":1 \"b\":2}", "expected separator in dict"),
        ("[1 2]", "expected separator in list"), ("{\"a\":1,\"a\":2}", "duplicate key"),
        ("[1,]", "expecting value"),
        ("\"\\x\"", "invalid escape sequence in string"),
        ("\"\\ud800x\"", "\\ud800 is not a valid Unicode character"),
        ("\"\\uFFFE\"", "\\uFFFE is not a valid Unicode character"),
        ("\"\\u12\"", "\\u12\" is not a valid Unicode character"), ("A", "stray 'A'"), ("01", "stray '01'"),
        ("1.}", "stray '1.}'"), ("\"a\n", "stray '\"a\n'"), ("#", "stray '#'"),
    ])
    func `a malformed value is one error`(text: String, problem: String) {
        #expect(read(text) == ["JSON parse error, \(problem)"])
    }

    @Test func `after a malformed token reading continues at the next bracket, colon, comma or control character`()
    {
        #expect(read("A B\"C\"{}") == ["JSON parse error, stray 'A'", "{}"])
        #expect(read("A\n\"B\"") == ["JSON parse error, stray 'A'", "\"B\""])
        #expect(read("A,{}") == ["JSON parse error, stray 'A'", "JSON parse error, expecting value", "{}"])
    }

    @Test func `modified UTF-8 is accepted, other invalid UTF-8 is not`() {
        var reader = AgentRequestReader()
        func read(_ bytes: [UInt8]) -> [String] { reader.read([0x22] + bytes + [0x22]).map(description) }
        #expect(read([0xC0, 0x80]) == ["\"\\u0000\""])
        #expect(read(Array("é😀".utf8)) == ["\"\\u00E9\\uD83D\\uDE00\""])
        for bytes: [UInt8] in [
            [0xC3], [0xED, 0xA0, 0x80], [0xEF, 0xBF, 0xBF], [0xC1, 0x80], [0xF4, 0x90, 0x80, 0x80],
        ] {
            #expect(read(bytes) == ["JSON parse error, invalid UTF-8 sequence in string"])
        }
    }

    @Test func `a value beyond a limit is one error, and is discarded up to the next line`() {
        let deep = String(repeating: "[", count: 65)
        #expect(read(deep + "]]]{}\n{}") == ["JSON nesting depth limit exceeded", "{}"])
        let long = "\"" + String(repeating: "x", count: AgentRequestReader.longestValue)
        #expect(read(long + "x\"{}\n{}") == ["JSON token size limit exceeded", "{}"])
        // Also if the last byte is a bracket.
        let full = "[\"" + String(repeating: "x", count: AgentRequestReader.longestValue - 4) + "\","
        #expect(read(full + "{},[1]{}\n{}") == ["JSON token size limit exceeded", "{}"])
        let many = "[" + String(repeating: "1,", count: AgentRequestReader.mostTokens / 2)
        #expect(read(many + "1]\n{}") == ["JSON token count limit exceeded", "{}"])
    }

    @Test func `arguments and id keep their text`() throws {
        var reader = AgentRequestReader()
        let text = "{'arguments': { 'a': 12345678901234567890123, \"b\":'\\u0041'}, 'execute':'x', 'id': 'i'}"
        let value = try #require(try reader.read(text.utf8).first?.get())
        let request = try AgentRequest(value)
        let arguments = try #require(request.argumentsText)
        #expect(String(decoding: arguments, as: UTF8.self) == "{'a':12345678901234567890123,\"b\":'\\u0041'}")
        #expect(AgentRequest.id(of: value)?.encoded == "\"i\"")
    }

    @Test(arguments: [
        ("[]", "QMP input must be a JSON object"), ("{}", "QMP input lacks member 'execute'"),
        ("{\"execute\":5}", "QMP input member 'execute' must be a string"),
        ("{\"execute\":\"x\",\"arguments\":[]}", "QMP input member 'arguments' must be an object"),
        ("{\"execute\":\"x\",\"y\":1}", "QMP input member 'y' is unexpected"),
    ])
    func `a value that is no request is an error`(text: String, problem: String) throws {
        var reader = AgentRequestReader()
        let value = try #require(try reader.read(text.utf8).first?.get())
        let error = #expect(throws: AgentError.self) { try AgentRequest(value) }
        #expect(error?.description == problem && error?.errorClass == .generic)
    }

    @Test func `replies have the members in the order of qemu-ga`() {
        func line(_ reply: AgentReply) -> String { String(decoding: reply.line, as: UTF8.self) }
        #expect(line(AgentReply(.success("{}"), id: nil)) == "{\"return\": {}}\n")
        #expect(line(AgentReply(.success("7"), id: .number("1"))) == "{\"return\": 7, \"id\": 1}\n")
        #expect(
            line(AgentReply(.failure(AgentError(.commandNotFound, "a \"b\"")), id: .string("ü")))
                == "{\"id\": \"\\u00FC\", \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"a \\\"b\\\"\"}}\n"
        )
        #expect(AgentReply(.success("1"), id: nil, isDelimited: true).line.first == 0xFF)
    }
}
