import FreezeCore
import LinuxCalls
import Testing

@testable import Channels

/// Replies of qemu-ga on the way to the host.
@Suite struct AgentReplySpliceTests {
    private func splice(_ text: String, _ id: AgentValue? = .number("5")) -> String? {
        AgentReplySplice.replacing(id: "t", with: id, in: Array(text.utf8)).map {
            String(decoding: $0, as: UTF8.self)
        }
    }

    @Test func `only the id changes`() {
        #expect(
            splice("{ \"return\" :\t[1.50, {\"id\": \"t\"}, \"\\u00e9é\u{7F}\"] , \"id\": \"t\"}\n")
                == "{ \"return\" :\t[1.50, {\"id\": \"t\"}, \"\\u00e9é\u{7F}\"] , \"id\": 5}\n")
        #expect(splice("{\"id\": \"t\", \"error\": {}}") == "{\"id\": 5, \"error\": {}}\n")
        #expect(splice("{\"id\" :\t\"t\"\r,\t\"error\": 0}", nil) == "{\"error\": 0}\n")
        #expect(splice("{\"id\": \"t\", \"return\": -0e5}", nil) == "{\"return\": -0e5}\n")
        #expect(splice("{\"return\": [], \"id\": \"t\"}", nil) == "{\"return\": []}\n")
    }

    @Test(arguments: [
        "tru", "nulL", "01", "1.", "-", "1e", "'a'", "\"\t\"", "\"\\x\"", "\"\\u12\"", "\"\\u12g4\"", "[1,]",
        "[1 2]",
        "{\"a\"}", "{\"a\":1,}", "{1:2}", "{,}", "[}", "{\"a\":]", "1, \"x\"", "", "1 2", "/**/1", "[1]]",
        "\u{FEFF}1",
    ])
    func `a reply that is no JSON is refused, though the brackets around it balance`(value: String) {
        #expect(splice("{\"return\": \(value), \"id\": \"t\"}") == nil)
    }

    @Test(
        arguments: [
            [0x80], [0xC1, 0x80], [0xC3], [0xE0, 0x9F, 0x80], [0xED, 0xA0, 0x80], [0xE1, 0x80],
            [0xF0, 0x8F, 0x80, 0x80],
            [0xF4, 0x90, 0x80, 0x80], [0xF5, 0x80, 0x80, 0x80], [0xFF],
        ] as [[UInt8]])
    func `a reply that is not UTF-8 is refused`(bytes: [UInt8]) {
        let (begin, end) = (Array("{\"return\": \"".utf8), Array("\", \"id\": \"t\"}".utf8))
        #expect(AgentReplySplice.replacing(id: "t", with: nil, in: begin + bytes + end) == nil)
        #expect(AgentReplySplice.replacing(id: "t", with: nil, in: begin + Array("é€😀".utf8) + end) != nil)
    }

    @Test(arguments: [
        "{\"id\": \"t\"}", "{\"id\": \"t\", \"x\": {\"return\": 1}}", "[{\"return\": 1, \"id\": \"t\"}]",
        "{\"return\": 1, \"id\": \"t\"}}", "{\"return\": 1, \"id\": \"t\"} 1", "x{\"return\": 1, \"id\": \"t\"}",
        "{\"return\": 1, \"id\": \"u\"}", "{\"return\": 1, \"x\": {\"id\": \"t\"}}",
    ])
    func `a line without a result for the request is refused`(line: String) {
        #expect(splice(line) == nil)
    }

    @Test func `levels are limited, not bytes`() {
        func reply(_ levels: Int) -> String {
            let brackets = (String(repeating: "[", count: levels), String(repeating: "]", count: levels))
            return "{\"return\": \(brackets.0)\(brackets.1), \"id\": \"t\"}"
        }
        #expect(splice(reply(AgentReplyCheck.deepestNesting - 1)) != nil)
        #expect(splice(reply(AgentReplyCheck.deepestNesting)) == nil)
        #expect(splice(reply(1_000_000)) == nil)
        #expect(splice("{\"return\": \"\(String(repeating: "x", count: 9_000_000))\", \"id\": \"t\"}") != nil)
    }

    @Test func `the host receives an error in place of a reply that is no JSON`() throws {
        var session = AgentSession(version: "1")
        session.setOtherAgentInstalled(true)
        _ = session.received("{'execute':'guest-get-time','id':5}".utf8, at: .now)
        let reply = Array("{\"return\": nil, \"id\": \"quiesce-1\"}\n".utf8)
        let error = AgentError(.generic, "the reply of qemu-ga is malformed")
        #expect(
            session.relayed("quiesce-1", .reply(reply), at: .now)
                == [.send(AgentReply(.failure(error), id: .number("5")).line)])
    }
}
