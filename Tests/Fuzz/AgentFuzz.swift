@testable import Channels

/// Requests of a guest agent's client: pipelined, cut, mixed with 0xFF, damaged.
struct AgentFuzz: ParserFuzz {
    static let name = "agent"
    static let sources = [
        "Channels/QEMU/AgentRequestReader.swift", "Channels/QEMU/AgentNumber.swift",
        "Channels/QEMU/AgentParser.swift", "Channels/QEMU/AgentValue.swift", "Channels/QEMU/AgentRequest.swift",
        "Channels/QEMU/AgentReply.swift",
    ]

    private let mutation = Mutation([
        "{", "}", "[", "]", "{}", "[]", ",", ":", "null", "true", "nul", "\"execute\"", "'arguments'", "\"id\":",
        "\"mountpoints\":[\"/\"]", "\\u0070", "\\ud83d\\ude00", "\\ud800", "\\uFFFF", "\\'", "\\x", "-", "01",
        "1.",
        "2.5e+3", "1e", "guest-fsfreeze-freeze-list", "guest-sync",
    ])

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let isValid = random.oneIn(3)
        var bytes: [UInt8] = []
        for _ in 0...random.below(4) {
            let request = Array(Self.request(&random).encoded.utf8)
            bytes += isValid || random.oneIn(3) ? request : mutation.mutated(request, &random)
            if random.oneIn(3) { bytes.append(UInt8(ascii: "\n")) }
            if !isValid, random.oneIn(8) { bytes.append(0xFF) }
        }
        // Beyond a limit: of levels, of tokens, of bytes.
        if !isValid, random.oneIn(500) {
            let (filling, count) = random.one(of: [
                ("[", 100), ("{\"a\":", 100), ("1,", 40_000), ("x", 1_100_000), ("\\u0041", 200_000),
            ])
            let opening = random.one(of: ["", "[", "\""])
            let text = Array((opening + String(repeating: filling, count: count)).utf8)
            bytes.insert(contentsOf: text, at: random.below(bytes.count + 1))
        }
        return FuzzInput(bytes, isValid: isValid)
    }

    static func request(_ random: inout SplitMix64) -> AgentValue {
        let commands = AgentRequest.Command.allCases.map(\.rawValue) + ["guest-get-time", "guest-exec", "", "ü"]
        var members = [AgentMember("execute", .string(random.one(of: commands)))]
        if random.oneIn(2) {
            members.append(
                AgentMember(
                    "arguments",
                    .object([
                        AgentMember(random.one(of: ["id", "mountpoints", "x"]), value(&random, depth: 0))
                    ])))
        }
        if random.oneIn(2) { members.append(AgentMember("id", value(&random, depth: 0))) }
        return .object(random.oneIn(2) ? members : members.reversed())
    }

    static func value(_ random: inout SplitMix64, depth: Int) -> AgentValue {
        switch random.below(depth > 3 ? 4 : 6) {
        case 0: .null
        case 1: .bool(random.oneIn(2))
        case 2:
            .number(
                random.one(of: [
                    "0", "-1", "9223372036854775807", "18446744073709551616", "1.50", "-0", "2e10",
                ]))
        case 3: .string(random.one(of: ["", "/srv/a b", "é\u{7F}\"\\\n", "😀", "\0", "'"]))
        case 4: .list(random.list(atMost: 3) { value(&$0, depth: depth + 1) })
        default:
            .object(
                ["a", "", "id"].prefix(random.below(4)).map { AgentMember($0, value(&random, depth: depth + 1)) })
        }
    }

    func check(_ input: FuzzInput) throws -> Verdict {
        var whole = AgentRequestReader()
        let results = whole.read(input.bytes)
        // However the bytes are cut.
        var cut = AgentRequestReader()
        let (first, second) = (
            input.bytes.prefix(input.bytes.count / 2), input.bytes.dropFirst(input.bytes.count / 2)
        )
        try require(cut.read(first) + cut.read(second) == results, "the results depend on the cut")
        var isAccepted = !results.isEmpty
        for result in results {
            switch result {
            case .failure(let error):
                isAccepted = false
                try checkReply(AgentReply(.failure(error), id: nil))
            case .success(let value):
                try checkRoundTrip(value)
                try checkRequest(value)
            }
        }
        try require(!input.isValid || isAccepted, "a request of ours is refused")
        // 0xFF and a request: the reader is never lost.
        let request = Array("\n{\"execute\":\"guest-ping\"}".utf8)
        try require(
            whole.read([0xFF] + request).last?.value.flatMap { try? AgentRequest($0) }?.command == .ping,
            "the reader does not resynchronize")
        return isAccepted ? .accepted : .refused
    }

    private func checkRoundTrip(_ value: AgentValue) throws {
        var reader = AgentRequestReader()
        let encoded = value.encoded
        // A number or keyword ends with the next byte.
        let again = reader.read(encoded.utf8) + reader.read([UInt8(ascii: "\n")])
        try require(again.count == 1 && again[0].value?.encoded == encoded, "\(encoded) does not come back")
    }

    private func checkRequest(_ value: AgentValue) throws {
        let id = AgentRequest.id(of: value)
        do {
            let request = try AgentRequest(value)
            if let text = request.argumentsText {
                var reader = AgentRequestReader()
                try require(reader.read(text).first?.value != nil, "the text of the arguments is cut")
            }
            switch request.command {
            case .sync, .delimitedSync: _ = try request.syncID()
            case .freezeList: _ = try request.mountPoints()
            default: try request.expectArguments([])
            }
        } catch let error as AgentError {
            try checkReply(AgentReply(.failure(error), id: id))
        }
    }

    /// A line of JSON in ASCII.
    private func checkReply(_ reply: AgentReply) throws {
        let line = reply.line
        try require(line.dropLast().allSatisfy { 0x20...0x7E ~= $0 }, "a reply is not one line of ASCII")
        var reader = AgentRequestReader()
        try require(reader.read(line).first?.value != nil, "a reply is no JSON")
    }
}

extension Result {
    fileprivate var value: Success? { try? get() }
}
