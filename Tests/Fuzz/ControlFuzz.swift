import FoundationEssentials
import FreezeCore
import History
import NIOCore

@testable import ControlProtocol
@testable import Varlink

/// What comes over the control socket, at both of its ends: a stream of calls, or of replies.
struct ControlFuzz: ParserFuzz {
    static let name = "control"
    static let sources = [
        "FreezeCore/Basics/AccessToken.swift",
        "Varlink/Messages/CallMessage.swift", "Varlink/Messages/JSONMessage.swift",
        "Varlink/Messages/MessageFramer.swift", "Varlink/Messages/ReplyMessage.swift",
        "Varlink/Messages/VarlinkServiceError.swift",
        "ControlProtocol/ControlMethods.swift", "ControlProtocol/ControlEvent.swift",
        "ControlProtocol/ControlStatus.swift", "ControlProtocol/ControlInterface.swift",
        "ControlProtocol/ControlError.swift",
    ]

    private let mutation = Mutation(
        ControlInterface.Method.allCases.map { "\"\($0.qualifiedName)\"" } + [
            "null", "true", "{", "}", "[", "]", "{}", "[]", ",", "\"method\":", "\"parameters\":", "\"more\":true",
            "\"oneway\":true", "\"upgrade\":true", "\"error\":\"org.quiesce.Control1.Busy\"", "\"continues\":true",
            "\"force\":true", "\"limit\":", "\"hold\":", "\"\\ud800\"", "\"\\u0000\"", "1e999", "-0", "1.0", "\0",
            String(repeating: "[", count: 65), String(repeating: "{\"a\":", count: 63),
        ])

    /// A call or a reply as the product makes it.
    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let isValid = random.oneIn(3)
        var bytes: [UInt8] = []
        for _ in 0...random.below(3) {
            let message = random.oneIn(3) ? reply(&random) : call(&random)
            bytes += isValid || random.oneIn(4) ? message : mutation.mutated(message, &random)
            if isValid || !random.oneIn(10) { bytes.append(0) }
        }
        if isValid { return FuzzInput(bytes, isValid: true) }
        if random.oneIn(500) { bytes += deep(60 + random.below(10)) + [0] }
        if random.oneIn(2000) { bytes += deep(100_000) + [0] }
        return FuzzInput(bytes)
    }

    private func deep(_ count: Int) -> [UInt8] {
        Array((String(repeating: "[", count: count) + String(repeating: "]", count: count)).utf8)
    }

    private func call(_ random: inout SplitMix64) -> [UInt8] {
        let method = random.one(of: ControlInterface.Method.allCases)
        var members = ["\"method\":\"\(method.qualifiedName)\""]
        for flag in ["more", "oneway", "upgrade"] where random.oneIn(4) {
            members.append("\"\(flag)\":\(random.oneIn(2))")
        }
        let text = random.one(of: ["", "20261121T103645-1", "\u{1B}[2J", "\"", "é🧊"])
        let parameters: ByteBuffer? =
            switch method {
            case .freeze: try? encodeMessage(FreezeParameters(hold: random.maybe { $0.oneIn(2) }))
            case .thaw:
                try? encodeMessage(
                    ThawParameters(
                        force: random.maybe { $0.oneIn(2) }, request: random.maybe { _ in text },
                        failure: random.maybe { _ in text }))
            case .history: try? encodeMessage(HistoryParameters(limit: random.maybe { Int($0.oddNumber()) }))
            case .authenticate:
                try? encodeMessage(
                    AuthenticateParameters(
                        token: random.oneIn(3) ? Self.secret : String(repeating: text, count: random.below(200))))
            case .status, .monitor, .acknowledge:
                random.maybe { ByteBuffer(string: $0.one(of: ["null", "{}", "{\"x\":[1,{}]}"]) + "\0") }
            }
        if let parameters {
            members.append(
                "\"parameters\":" + String(decoding: parameters.readableBytesView.dropLast(), as: UTF8.self))
        }
        return Array("{\(members.joined(separator: ","))}".utf8)
    }

    private func reply(_ random: inout SplitMix64) -> [UInt8] {
        let reason = random.one(of: ["", "it failed", "\u{1B}[2J", "ü"])
        let request = random.maybe { "r\($0.below(99))" }
        let message: ReplyMessage? =
            switch random.below(7) {
            case 0:
                try? ReplyMessage(parameters: MonitorReply(event: random.maybe { event(&$0) }), continues: true)
            case 1: try? ReplyMessage(parameters: status(&random), continues: false)
            case 2:
                try? ReplyMessage(
                    error: ControlErrorName(random.one(of: AnswerDetail.Refusal.allCases)).qualifiedName,
                    parameters: ControlErrorParameters(request: request, reason: reason))
            case 3:
                ReplyMessage(
                    random.one(of: [
                        .interfaceNotFound(reason), .methodNotFound(reason), .methodNotImplemented(reason),
                        .invalidParameter(reason), .permissionDenied, .expectedMore,
                    ]))
            case 4:
                try? ReplyMessage(
                    parameters: HistoryReply(records: random.list(atMost: 2) { RequestRecord.random(&$0) }),
                    continues: false)
            case 5:
                try? ReplyMessage(
                    parameters: FreezeReply(
                        request: reason, windowLeft: Double(random.below(60_000)), dryRun: random.oneIn(2),
                        reason: reason), continues: false)
            default:
                try? ReplyMessage(
                    parameters: ThawReply(request: request, dryRun: random.oneIn(2), reason: reason),
                    continues: false)
            }
        return message.map { Array($0.bytes.readableBytesView.dropLast()) } ?? []
    }

    private func event(_ random: inout SplitMix64) -> ControlEvent {
        var event = ControlEvent(
            time: WallTime(milliseconds: Int64(random.below(1 << 40))),
            request: random.maybe { "r\($0.below(9))" },
            channel: random.maybe { _ in "hyperv" }, kind: random.one(of: ControlEvent.Kind.allCases))
        event.state = random.maybe { $0.one(of: ControlState.allCases) }
        event.hooks = random.maybe { $0.list(atMost: 3) { "\($0.below(99))-hook" } }
        event.duration = random.maybe { Double($0.oddNumber()) }
        event.record = random.maybe { RequestRecord.random(&$0) }
        return event
    }

    private func status(_ random: inout SplitMix64) -> ControlStatus {
        let time = WallTime(milliseconds: Int64(random.below(1 << 40)))
        let backup = ControlStatus.Backup(
            id: "r1", channel: "hyperv", ended: time, age: 5, result: .failed,
            level: random.maybe { _ in "crash" },
            reason: nil, dryRun: random.maybe { _ in true })
        let request = ControlStatus.Request(
            id: "r2", channel: "control", started: time, age: Double(random.below(99)), failure: nil,
            windowLeft: random.maybe { Double($0.below(60_000)) }, hook: random.maybe { _ in "10-orders" },
            filesystems: random.list(atMost: 3) { .init(mountPoint: "/\($0.below(9))", progress: "frozen") })
        return ControlStatus(
            version: "1", pid: Int32(random.below(1 << 22)), started: time, dryRun: random.oneIn(2),
            state: random.one(of: ControlState.allCases), since: time, sinceMilliseconds: 1,
            request: random.maybe { _ in request }, stuck: random.list(atMost: 2) { "/\($0.below(9))" },
            lost: random.list(atMost: 1) { _ in .init(channel: "hyperv", reason: "ü") },
            freezerReady: random.oneIn(2), channels: random.list(atMost: 2) { _ in .init(name: "a", state: "b") },
            lastBackup: random.maybe { _ in backup }, lastGoodBackup: random.maybe { _ in backup })
    }

    // MARK: Feeding

    func check(_ input: FuzzInput) throws -> Verdict {
        var random = SplitMix64(of: input.bytes)
        // Mostly the server's limit; sometimes one that is met.
        let limit = random.oneIn(4) ? 1 + random.below(200) : 1 << 20
        let messages = try checkFraming(input.bytes, limit, &random)
        var isAccepted = false
        for message in messages {
            let isCall = try checkCall(message)
            let isReply = try checkReply(message)
            if isCall || isReply { isAccepted = true }
            try require(!input.isValid || isCall || isReply, "a message of ours is not understood")
        }
        return isAccepted ? .accepted : .refused
    }

    /// However the stream is cut into pieces, the same messages come out of it, or the same refusal.
    private func checkFraming(_ bytes: [UInt8], _ limit: Int, _ random: inout SplitMix64) throws -> [Data] {
        var expected = bytes.split(separator: 0, omittingEmptySubsequences: false)
        let rest = expected.removeLast()
        let tooLong = expected.firstIndex { $0.count > limit }
        let isRefused = tooLong != nil || rest.count > limit
        if let tooLong { expected.removeSubrange(tooLong...) }

        var framer = MessageFramer(maximumMessage: limit)
        var messages: [Data] = []
        var wasRefused = false
        for piece in random.cut(bytes, atMost: random.one(of: [1 << 16, bytes.count + 1, 300, 20, 3])) {
            framer.append(ByteBuffer(bytes: piece))
            do throws(MessageFramer.MessageTooLong) {
                while let message = try framer.next() { messages.append(message) }
            } catch {
                wasRefused = true
                framer.clear()
                break
            }
        }
        try require(wasRefused == isRefused, "too long or not depends on how it is cut")
        try require(
            messages.map(Array.init) == expected.map(Array.init), "the messages depend on how they are cut")
        return messages
    }

    private func checkCall(_ text: Data) throws -> Bool {
        let call: CallMessage
        do throws(VarlinkServiceError) {
            call = try CallMessage(text)
        } catch {
            try checkRefusal(error)
            return false
        }
        try require(call.method.hasPrefix(call.interface), "an interface that is not in its method")
        do {
            switch ControlInterface.Method(qualifiedName: call.method) {
            case .freeze: try checkAgain(call.message.parameters(as: FreezeParameters.self))
            case .thaw: try checkAgain(call.message.parameters(as: ThawParameters.self))
            case .history: try checkAgain(call.message.parameters(as: HistoryParameters.self))
            case .authenticate:
                let parameters = try call.message.parameters(as: AuthenticateParameters.self)
                try checkAgain(parameters)
                try checkToken(parameters.token)
            case .status, .monitor, .acknowledge: break
            case nil: return false
            }
            return true
        } catch let error as VarlinkServiceError {
            try checkRefusal(error)
            return false
        }
    }

    private static let secret = "0123456789abcdef"

    /// Only the token itself is accepted.
    private func checkToken(_ offered: String) throws {
        let token = AccessToken(Array(Self.secret.utf8))
        let isRight = Array(offered.utf8) == Array(Self.secret.utf8)
        try require(token?.matches(offered) == isRight, "another token is accepted, or the right one refused")
        // Every text of an allowed length can be a token.
        guard let other = AccessToken(Array(offered.utf8)) else { return }
        try require(
            other.matches(offered) && other.matches(offered + "x") == false, "a token does not match itself")
        try require(AccessToken(file: Array(offered.utf8) + [10]) == other, "a newline belongs to the token")
    }

    private func checkReply(_ text: Data) throws -> Bool {
        guard let message = try? JSONMessage(text), let envelope = try? message.envelope(as: Envelope.self) else {
            return false
        }
        if let name = envelope.error {
            let reply = VarlinkErrorReply(name: name, message: message)
            guard let parameters = reply.parameters(as: ControlErrorParameters.self) else {
                return name.hasPrefix("org.varlink.service.")
            }
            try checkAgain(parameters)
            if let known = ControlErrorName(qualifiedName: name) {
                try require(known.qualifiedName == name, "an error of another name")
            }
            return true
        }
        var isUnderstood = false
        func take<Parameters: Codable & Hashable>(_ type: Parameters.Type) throws {
            guard let parameters = try? message.parameters(as: type) else { return }
            try checkAgain(parameters)
            isUnderstood = true
        }
        try take(ControlStatus.self)
        try take(MonitorReply.self)
        try take(HistoryReply.self)
        try take(FreezeReply.self)
        try take(ThawReply.self)
        return isUnderstood && envelope.method == nil
    }

    private struct Envelope: Decodable {
        let error: String?
        let continues: Bool?
        let method: String?
    }

    private func checkRefusal(_ error: VarlinkServiceError) throws {
        guard case .invalidParameter(let name) = error, !name.isEmpty else {
            throw BrokenPromise("refused without saying what is wrong: \(error)")
        }
        // It is sent back: the refusal has to be a message itself.
        _ = try JSONMessage(Data(ReplyMessage(error).bytes.readableBytesView.dropLast()))
    }

    /// Sent on, it says the same.
    private func checkAgain<Parameters: Codable & Hashable>(_ parameters: Parameters) throws {
        let reply = try ReplyMessage(parameters: parameters, continues: false)
        let message = try JSONMessage(Data(reply.bytes.readableBytesView.dropLast()))
        let again = try message.parameters(as: Parameters.self)
        try require(again == parameters, "\(Parameters.self) does not come back: \(parameters)")
    }
}
