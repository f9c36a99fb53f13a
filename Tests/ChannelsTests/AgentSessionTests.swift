import FreezeCore
import SystemPackage
import Testing

@testable import Channels

/// The replies to the client of a guest agent, and the order of the replies.
@Suite struct AgentSessionTests {
    /// A session with a clock, and the collected effects.
    private struct Bench {
        var session = AgentSession(version: "1.2")
        var now = Moment(nanoseconds: 1_000_000_000)
        var sent: [String] = []
        var freezes: [(OperationID, FreezeOptions)] = []
        var thaws: [OperationID] = []
        var undelivered: [String] = []
        var relayed: [AgentRelayRequest] = []

        init(isSynchronized: Bool = true, hasOtherAgent: Bool = true) {
            session.setOtherAgentInstalled(hasOtherAgent)
            if isSynchronized {
                send("{'execute':'guest-sync','arguments':{'id':7}}")
                sent = []
            }
        }

        mutating func carryOut(_ effects: [AgentSession.Effect]) {
            for effect in effects {
                switch effect {
                case .send(let bytes): sent.append(String(decoding: bytes, as: UTF8.self))
                case .freeze(let operation, let options): freezes.append((operation, options))
                case .thaw(let operation): thaws.append(operation)
                case .undelivered(let reason): undelivered.append(reason)
                case .relay(let request): relayed.append(request)
                }
            }
        }

        mutating func send(_ text: String, after pause: Duration = .milliseconds(1)) {
            now = now + pause
            carryOut(session.received(text.utf8, at: now))
        }

        mutating func answer(
            _ operation: OperationID?, _ answer: OperationAnswer, _ detail: AnswerDetail = AnswerDetail(),
            before limit: Moment? = nil
        ) throws {
            carryOut(session.answered(try #require(operation), answer, detail, before: limit, at: now))
        }

        /// Freezes two filesystems, and flushes a third.
        mutating func freeze() throws {
            send("{'execute':'guest-fsfreeze-freeze'}")
            var detail = AnswerDetail(request: RequestID("r"))
            (detail.filesystems, detail.flushed) = (2, 1)
            try answer(freezes.last?.0, .success, detail, before: now + .seconds(60))
            enter(.frozen)
        }

        mutating func enter(_ state: RequestState, of request: String = "r") {
            let progress = RequestProgress(request: RequestID(request), channel: nil, event: .entered(state))
            carryOut(session.observed(progress, at: now))
        }

        mutating func relayReplies(_ text: String) throws {
            let tag = try #require(relayed.last).tag
            let line = Array(text.replacing("TAG", with: "\"\(tag)\"").utf8)
            carryOut(session.relayed(tag, .reply(line), at: now))
        }

        mutating func pass(_ time: Duration) {
            now = now + time
            carryOut(session.timePassed(at: now))
        }

        /// The replies since the last call.
        mutating func newReplies() -> [String] {
            defer { sent = [] }
            return sent
        }
    }

    // MARK: Freezing

    @Test func `freeze returns frozen and flushed filesystems, thaw the thawed ones`() throws {
        var bench = Bench()
        try bench.freeze()
        #expect(bench.newReplies() == ["{\"return\": 3}\n"])
        bench.send("{'execute':'guest-fsfreeze-status'}{'execute':'guest-fsfreeze-thaw','id':'a'}")
        var detail = AnswerDetail()
        detail.filesystems = 2
        try bench.answer(bench.thaws.last, .success, detail)
        bench.send("{'execute':'guest-fsfreeze-status'}")
        #expect(
            bench.newReplies() == [
                "{\"return\": \"frozen\"}\n", "{\"return\": 2, \"id\": \"a\"}\n", "{\"return\": \"thawed\"}\n",
            ])
    }

    @Test func `P2 freeze never returns 0, after which libvirt sends no thaw`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-freeze'}")
        try bench.answer(bench.freezes.last?.0, .success, AnswerDetail(request: RequestID("r")))
        #expect(bench.newReplies() == ["{\"return\": 1}\n"])
    }

    @Test func `a refused freeze has the reason, and the thaw that follows 0`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-freeze'}")
        try bench.answer(bench.freezes.last?.0, .failure, AnswerDetail(reason: "/srv: it is frozen already"))
        bench.send("{'execute':'guest-fsfreeze-thaw'}")
        try bench.answer(bench.thaws.last, .success)
        #expect(
            bench.newReplies() == [
                "{\"error\": {\"class\": \"GenericError\", \"desc\": \"/srv: it is frozen already\"}}\n",
                "{\"return\": 0}\n",
            ])
    }

    @Test func `P2 a freeze whose window has ended is no success`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-freeze'}")
        try bench.answer(bench.freezes.last?.0, .success, AnswerDetail(request: RequestID("r")), before: bench.now)
        #expect(bench.newReplies().first?.contains("the window ended") == true)
        #expect(bench.session.frozenRequest == nil)
    }

    @Test func `status is thawed after the end of the window, and while another channel has one`() throws {
        var bench = Bench()
        try bench.freeze()
        bench.enter(.thawing)
        bench.send("{'execute':'guest-fsfreeze-status'}")
        bench.enter(.frozen, of: "another")
        bench.send("{'execute':'guest-fsfreeze-status'}")
        #expect(bench.newReplies().suffix(2) == ["{\"return\": \"thawed\"}\n", "{\"return\": \"thawed\"}\n"])
    }

    @Test func `a second freeze while frozen is refused as qemu-ga does`() throws {
        var bench = Bench()
        try bench.freeze()
        _ = bench.newReplies()
        bench.send("{'execute':'guest-fsfreeze-freeze'}{'execute':'guest-fsfreeze-freeze-list'}")
        #expect(bench.newReplies().allSatisfy { $0.contains("CommandNotFound") && $0.contains("frozen state") })
        #expect(bench.freezes.count == 1)
    }

    @Test func `freeze-list selects mount points`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-freeze-list','arguments':{'mountpoints':['/srv/a b','/']}}")
        #expect(bench.freezes.last?.1 == FreezeOptions(mountPoints: ["/srv/a b", "/"]))
        try bench.answer(bench.freezes.last?.0, .failure, AnswerDetail(reason: "no"))
        bench.send("{'execute':'guest-fsfreeze-freeze-list'}")
        #expect(bench.freezes.last?.1 == FreezeOptions())
    }

    @Test(arguments: [
        ("'x'", "Invalid parameter type for 'mountpoints', expected: array"),
        ("['/',5]", "Invalid parameter type for 'mountpoints[1]', expected: string"),
        ("['srv']", "srv is not an absolute path"), ("[]", "no mount point is named"),
    ])
    func `freeze-list refuses other arguments`(list: String, problem: String) {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-freeze-list','arguments':{'mountpoints':\(list)}}")
        #expect(bench.newReplies().first?.contains(problem) == true)
        #expect(bench.freezes.isEmpty)
    }

    // MARK: Order

    @Test func `requests wait behind a freeze, in their order`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-freeze'}")
        bench.send("{'execute':'guest-fsfreeze-status'}")
        bench.send("{'execute':'guest-sync','arguments':{'id':5}}", after: .seconds(10))
        #expect(bench.newReplies().isEmpty)
        #expect(bench.session.unanswered.count == 3)
        try bench.answer(bench.freezes.last?.0, .success, AnswerDetail(request: RequestID("r")))
        #expect(bench.newReplies() == ["{\"return\": 1}\n", "{\"return\": \"frozen\"}\n", "{\"return\": 5}\n"])
        #expect(bench.session.unanswered.isEmpty)
    }

    @Test func `before the first sync after an open nothing is frozen`() {
        var bench = Bench(isSynchronized: false)
        bench.send("{'execute':'guest-fsfreeze-freeze'}{'execute':'guest-fsfreeze-thaw'}")
        #expect(bench.freezes.isEmpty && bench.thaws.count == 1)
        #expect(bench.newReplies().first?.contains("send guest-sync first") == true)
    }

    // MARK: The end of a client

    @Test func `a client that goes thaws nothing, and loses its waiting requests but the thaw`() throws {
        var bench = Bench()
        bench.send(
            "{'execute':'guest-fsfreeze-freeze'}{'execute':'guest-ping'}{'execute':'guest-fsfreeze-thaw'}{'exec")
        bench.carryOut(bench.session.clientIsGone(at: bench.now))
        #expect(bench.thaws.isEmpty)
        try bench.answer(bench.freezes.last?.0, .success, AnswerDetail(request: RequestID("r")))
        #expect(bench.thaws.count == 1)
        bench.send("{'execute':'guest-ping'}")
        try bench.answer(bench.thaws.last, .success)
        // The replies to the first client are dropped.
        #expect(bench.newReplies() == ["{\"return\": {}}\n"])
    }

    @Test func `while the client may be gone, nothing but a thaw is served`() {
        var bench = Bench()
        bench.carryOut(bench.session.clientIsInDoubt(at: bench.now))
        bench.send("{'execute':'guest-fsfreeze-thaw'}")
        #expect(bench.thaws.count == 1)
        bench = Bench()
        bench.carryOut(bench.session.clientIsInDoubt(at: bench.now))
        bench.send("{'execute':'guest-fsfreeze-freeze'}")
        #expect(bench.freezes.isEmpty)
        bench.carryOut(bench.session.clientIsThere(at: bench.now))
        #expect(bench.freezes.count == 1)
    }

    @Test func `P3 the failure of a thaw is reported as undelivered if the client has gone before its reply`()
        throws
    {
        let lost = AnswerDetail(refusal: .lost, reason: "the window ended early")
        for isAnsweredFirst in [false, true] {
            var bench = Bench()
            bench.send("{'execute':'guest-fsfreeze-thaw'}")
            if !isAnsweredFirst { bench.carryOut(bench.session.clientIsGone(at: bench.now)) }
            try bench.answer(bench.thaws.last, .failure, lost)
            // The reply is dropped before the write.
            if isAnsweredFirst { bench.carryOut(bench.session.clientIsGone(at: bench.now)) }
            bench.session.repliesAreWritten()
            #expect(bench.undelivered == ["the window ended early"])
            bench.carryOut(bench.session.clientIsGone(at: bench.now))
            #expect(bench.undelivered.count == 1)
        }
    }

    /// The next client discards what comes before the reply to its own guest-sync.
    @Test func `P3 the failure of a thaw is undelivered if the client is in doubt before the write`() throws {
        let lost = AnswerDetail(refusal: .lost, reason: "the window ended early")
        for isAnsweredFirst in [false, true] {
            var bench = Bench()
            bench.send("{'execute':'guest-fsfreeze-thaw'}")
            if !isAnsweredFirst { bench.carryOut(bench.session.clientIsInDoubt(at: bench.now)) }
            try bench.answer(bench.thaws.last, .failure, lost)
            if isAnsweredFirst { bench.carryOut(bench.session.clientIsInDoubt(at: bench.now)) }
            bench.carryOut(bench.session.clientIsThere(at: bench.now))
            bench.session.repliesAreWritten()
            #expect(bench.newReplies().count == 1)
            #expect(bench.undelivered == ["the window ended early"])
        }
    }

    @Test func `the failure of a thaw that is written is not undelivered`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-fsfreeze-thaw'}")
        try bench.answer(
            bench.thaws.last, .failure, AnswerDetail(refusal: .lost, reason: "the window ended early"))
        bench.session.repliesAreWritten()
        bench.carryOut(bench.session.clientIsGone(at: bench.now))
        #expect(bench.undelivered.isEmpty)
    }

    // MARK: The other agent

    @Test func `a command of qemu-ga is relayed with a tag, and its reply gets the id of the client`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-get-time','arguments':{ 'a' : 1.50 },'id':[1]}")
        let request = try #require(bench.relayed.last)
        #expect(
            String(decoding: request.line, as: UTF8.self)
                == "{\"execute\": \"guest-get-time\", \"arguments\": {'a':1.50}, \"id\": \"\(request.tag)\"}\n")
        try bench.relayReplies("{\"return\": 1796112383220611000, \"id\": TAG}\n")
        #expect(bench.newReplies() == ["{\"return\": 1796112383220611000, \"id\": [1]}\n"])
    }

    @Test(arguments: [
        ("{\"return\": {\"id\": \"x\"}, \"id\": TAG}", "{\"return\": {\"id\": \"x\"}}"),
        (
            "{\"id\": TAG, \"error\": {\"class\": \"GenericError\", \"desc\": \"id\"}}",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"id\"}}"
        ),
        ("{\"return\": \"}\\\",\\\"id\\\":\", \"id\": TAG}", "{\"return\": \"}\\\",\\\"id\\\":\"}"),
    ])
    func `a reply to a request without id loses the tag and nothing else`(theirs: String, ours: String) throws {
        var bench = Bench()
        bench.send("{'execute':'guest-get-osinfo'}")
        try bench.relayReplies(theirs + "\n")
        #expect(bench.newReplies() == [ours + "\n"])
    }

    @Test func `a command that hangs delays a freeze by its deadline, and its late reply is swallowed`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-get-fsinfo'}{'execute':'guest-fsfreeze-freeze'}")
        let hung = try #require(bench.relayed.last)
        #expect(bench.session.nextDeadline == bench.now + .seconds(8))
        bench.pass(.milliseconds(7999))
        #expect(bench.freezes.isEmpty)
        bench.pass(.milliseconds(1))
        #expect(bench.freezes.count == 1)
        #expect(bench.newReplies().first?.contains("did not finish guest-get-fsinfo within 8s") == true)
        try bench.answer(bench.freezes.last?.0, .failure, AnswerDetail(reason: "no"))
        bench.send("{'execute':'guest-get-users'}")
        #expect(bench.newReplies().last?.contains("has not finished guest-get-fsinfo") == true)
        bench.carryOut(bench.session.relayed(hung.tag, .reply(Array("{}\n".utf8)), at: bench.now))
        #expect(bench.newReplies().isEmpty)
        bench.send("{'execute':'guest-get-users'}")
        #expect(bench.relayed.last?.command == "guest-get-users")
    }

    @Test func `a client that synchronizes has given up its relayed commands`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-get-fsinfo'}{'execute':'guest-get-users'}")
        bench.send("{'execute':'guest-sync','arguments':{'id':5}}", after: .milliseconds(500))
        #expect(bench.newReplies().isEmpty)
        bench.send("{'execute':'guest-sync','arguments':{'id':6}}", after: .seconds(2))
        #expect(bench.newReplies() == ["{\"return\": 5}\n", "{\"return\": 6}\n"])
    }

    @Test(arguments: [RequestState.freezing, .holding])
    func `P7 nothing is relayed while anything is frozen`(state: RequestState) throws {
        var bench = Bench()
        bench.enter(state, of: "of another channel")
        bench.send("{'execute':'guest-shutdown'}")
        #expect(bench.relayed.isEmpty)
        #expect(bench.newReplies().first?.contains("CommandNotFound") == true)
        bench.enter(.thawHooks, of: "of another channel")
        bench.send("{'execute':'guest-shutdown'}")
        #expect(bench.relayed.last?.repliesToSuccess == false)
        let tag = try #require(bench.relayed.last).tag
        bench.carryOut(bench.session.relayed(tag, .noReply, at: bench.now))
        #expect(bench.newReplies().isEmpty)
    }

    @Test func `without qemu-ga its commands are not found`() {
        var bench = Bench(hasOtherAgent: false)
        bench.send("{'execute':'guest-get-time','id':1}")
        #expect(
            bench.newReplies() == [
                "{\"id\": 1, \"error\": {\"class\": \"CommandNotFound\", \"desc\": \"The command guest-get-time has not been found\"}}\n"
            ])
    }

    @Test func `a command that is outstanding when qemu-ga ends fails`() {
        var bench = Bench()
        bench.send("{'execute':'guest-get-time'}{'execute':'guest-ping'}")
        bench.carryOut(bench.session.relayLost(at: bench.now))
        let replies = bench.newReplies()
        #expect(replies.count == 2 && replies[0].contains("qemu-ga ended before it replied"))
        // The command has no reply to success.
        bench.send("{'execute':'guest-shutdown'}")
        bench.carryOut(bench.session.relayLost(at: bench.now))
        #expect(bench.newReplies().isEmpty)
    }

    @Test func `guest-info has the commands of both agents, and what is enabled`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-info'}")
        try bench.relayReplies(
            "{\"return\": {\"version\": \"7.2.1\", \"supported_commands\": ["
                + "{\"enabled\": false, \"name\": \"guest-exec\", \"success-response\": true}, "
                + "{\"enabled\": false, \"name\": \"guest-fsfreeze-thaw\", \"success-response\": true}, "
                + "{\"enabled\": true, \"name\": \"guest-halt\", \"success-response\": false}]}, \"id\": TAG}\n")
        let info = try #require(bench.newReplies().first)
        #expect(info.hasPrefix("{\"return\": {\"version\": \"7.2.1\", \"supported_commands\": ["))
        #expect(
            info.contains("{\"enabled\": true, \"name\": \"guest-fsfreeze-thaw\", \"success-response\": true}"))
        #expect(info.contains("{\"enabled\": false, \"name\": \"guest-exec\", \"success-response\": true}"))
        #expect(info.contains("{\"enabled\": true, \"name\": \"guest-halt\", \"success-response\": false}"))
        bench.send("{'execute':'guest-halt'}")
        #expect(bench.relayed.last?.repliesToSuccess == false)
        bench.carryOut(bench.session.relayed(try #require(bench.relayed.last).tag, .noReply, at: bench.now))
        // While frozen, without a request to qemu-ga.
        try bench.freeze()
        bench.enter(.frozen)
        let relayed = bench.relayed.count
        _ = bench.newReplies()
        bench.send("{'execute':'guest-info'}")
        let frozen = try #require(bench.newReplies().first)
        #expect(frozen.components("\"enabled\": true") == 6 && bench.relayed.count == relayed)
    }

    @Test func `guest-info does not wait for a qemu-ga that hangs`() throws {
        var bench = Bench()
        bench.send("{'execute':'guest-info'}")
        bench.pass(.seconds(2))
        let info = bench.newReplies().first ?? ""
        #expect(info.contains("\"version\": \"1.2\"") && info.components("\"name\"") == 8)
        // The late reply counts for the next time.
        try bench.relayReplies(
            "{\"return\": {\"version\": \"7.2.1\", \"supported_commands\": []}, \"id\": TAG}\n")
        bench.send("{'execute':'guest-info'}")
        bench.pass(.seconds(2))
        #expect(bench.newReplies().first?.contains("\"version\": \"7.2.1\"") == true)
    }
}

extension String {
    fileprivate func components(_ part: String) -> Int { ranges(of: part).count }
}
