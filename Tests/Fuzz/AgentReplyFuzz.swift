import Foundation
import FreezeCore
import LinuxCalls

@testable import Channels

/// Replies of qemu-ga: the host receives a line of JSON, whatever qemu-ga sends.
struct AgentReplyFuzz: ParserFuzz {
    static let name = "agent-reply"
    static let sources = [
        "Channels/QEMU/AgentReplySplice.swift", "Channels/QEMU/AgentReplyCheck.swift",
        "Channels/QEMU/AgentNumber.swift", "Channels/QEMU/AgentReply.swift",
    ]

    /// The tag of the first request of a session.
    private static let tag = "quiesce-1"
    private static let clientID = 4711

    private let mutation = Mutation([
        "{", "}", "[", "]", "{}", "[]", ",", ":", "null", "true", "fals", "\"id\"", "\"id\":\"\(tag)\"",
        "\"return\":", "\"error\": {}", "'", "\\u0041", "\\ud83d\\ude00", "\\ud800", "\\u12", "\\'", "-", "01",
        "1.",
        "2.5e+3", "1E", "\t", "\u{7F}", "\u{FEFF}",
    ])

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let isValid = random.oneIn(3)
        var reply = Self.reply(&random)
        if !isValid {
            reply = mutation.mutated(reply, &random)
            if random.oneIn(200) { Self.enlarge(&reply, &random) }
        }
        return FuzzInput(reply, isValid: isValid)
    }

    private static func reply(_ random: inout SplitMix64) -> [UInt8] {
        func blank() -> String { random.one(of: ["", " ", "  ", "\t"]) }
        var members = [
            random.one(of: [
                "\"return\"\(blank()): \(AgentFuzz.value(&random, depth: 0).encoded)",
                "\"error\": {\"class\": \"GenericError\", \"desc\": \"é\\u00e9😀\u{7F}\\/\"}",
            ]), "\"id\": \"\(tag)\"",
        ]
        if random.oneIn(2) { members.append("\"x\":\(AgentFuzz.value(&random, depth: 0).encoded)") }
        if random.oneIn(2) { members.reverse() }
        return Array("{\(blank())\(members.joined(separator: "\(blank()),\(blank())"))\(blank())}".utf8)
    }

    /// Long or deep, and complete or not.
    private static func enlarge(_ reply: inout [UInt8], _ random: inout SplitMix64) {
        let count = random.one(of: [400, 1022, 1024, 30_000])
        let (begin, end) = random.one(of: [("[", "]"), ("{\"a\":", "}"), ("[{\"\":", "}]")])
        let closing = random.oneIn(4) ? "" : String(repeating: end, count: count)
        let value =
            random.oneIn(2)
            ? String(repeating: begin, count: count) + "1" + closing
            : "[\"\(String(repeating: "\\u00E9é\\\"", count: count))\"\(String(repeating: ", -1.5", count: count))]"
        reply = Array("{\"return\": \(value), \"id\": \"\(tag)\"}".utf8)
    }

    func check(_ input: FuzzInput) throws -> Verdict {
        var isAccepted = false
        for line in input.bytes.split(separator: UInt8(ascii: "\n")).map(Array.init) {
            if let line = AgentReplySplice.replacing(id: Self.tag, with: nil, in: line) {
                _ = try checkLine(line)
            }
            guard AgentReplySplice.id(of: line) == Self.tag else { continue }
            let members = try checkLine(try hostLine(line))
            if input.isValid {
                try require(members?["id"] as? Int == Self.clientID, "the client's id is lost")
                try require(
                    (members?["error"] as? [String: Any])?["desc"] as? String
                        != "the reply of qemu-ga is malformed", "a reply by the rules is refused")
            }
            isAccepted = isAccepted || AgentReplyCheck.isReply(line[...])
        }
        try require(!input.isValid || isAccepted, "a reply by the rules is refused")
        return isAccepted ? .accepted : .refused
    }

    /// The line for the host after a reply of qemu-ga.
    private func hostLine(_ reply: [UInt8]) throws -> [UInt8] {
        var session = AgentSession(version: "1")
        session.setOtherAgentInstalled(true)
        let request = Array("{\"execute\":\"guest-get-time\",\"id\":\(Self.clientID)}".utf8)
        let relayed = session.received(request, at: .now)
        guard case .relay(let request)? = relayed.first, request.tag == Self.tag else {
            throw BrokenPromise("the request is not relayed")
        }
        let sent = session.relayed(Self.tag, .reply(reply), at: .now)
        guard sent.count == 1, case .send(let line) = sent[0] else {
            throw BrokenPromise("the host receives \(sent.count) replies")
        }
        return line
    }

    /// A line of JSON with a result. Nil if Foundation does not read as many levels.
    private func checkLine(_ line: [UInt8]) throws -> [String: Any]? {
        try require(line.firstIndex(of: UInt8(ascii: "\n")) == line.count - 1, "not one line")
        let (text, depth) = Self.readable(line.dropLast())
        guard depth <= 500 else { return nil }
        guard let members = try? JSONSerialization.jsonObject(with: Data(text)) as? [String: Any] else {
            throw BrokenPromise("the host receives no JSON: \(String(decoding: line.prefix(2000), as: UTF8.self))")
        }
        try require(members["return"] != nil || members["error"] != nil, "the host receives no result")
        return members
    }

    /// The line without the valid JSON that JSONSerialization refuses, and the number of levels: RFC 8259 allows single
    /// surrogates, and exponents beyond every type.
    private static func readable(_ line: ArraySlice<UInt8>) -> (text: [UInt8], depth: Int) {
        var text: [UInt8] = []
        var (depth, deepest) = (0, 0)
        var isInString = false
        var rest = line
        while let byte = rest.popFirst() {
            text.append(byte)
            switch byte {
            case UInt8(ascii: "\""): isInString.toggle()
            case UInt8(ascii: "\\") where isInString:
                if rest.starts(with: Array("ud".utf8)) || rest.starts(with: Array("uD".utf8)) {
                    text += Array("u0".utf8)
                    rest = rest.dropFirst(2)
                } else if let escaped = rest.popFirst() {
                    text.append(escaped)
                }
            case UInt8(ascii: "e") where !isInString, UInt8(ascii: "E") where !isInString:
                // Two digits remain.
                if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
                    text.append(sign)
                    rest = rest.dropFirst()
                }
                let digits = rest.prefix { decimalDigits ~= $0 }
                text += digits.prefix(2)
                rest = rest.dropFirst(digits.count)
            case UInt8(ascii: "{") where !isInString, UInt8(ascii: "[") where !isInString:
                depth += 1
                deepest = max(deepest, depth)
            case UInt8(ascii: "}") where !isInString, UInt8(ascii: "]") where !isInString: depth -= 1
            default: break
            }
        }
        return (text, deepest)
    }
}
