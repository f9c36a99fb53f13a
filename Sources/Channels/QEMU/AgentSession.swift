import FreezeCore
import SystemPackage

/// Decides the replies to the client of a guest agent. Requests are served strictly in order, because libvirt takes the
/// first reply after a command for the reply to the command.
///
/// The session has no input, output or clock: the channel's thread carries out the effects.
struct AgentSession {
    enum Effect: Hashable {
        /// Bytes for the client.
        case send([UInt8])
        case freeze(OperationID, FreezeOptions)
        case thaw(OperationID)
        /// The failure of a thaw has reached no client.
        case undelivered(reason: String)
        /// A request for qemu-ga.
        case relay(AgentRelayRequest)
    }

    /// The end of a relayed command.
    enum RelayResult: Hashable {
        /// A line of JSON, with the tag of the request as `id`.
        case reply([UInt8])
        /// The command succeeded, and has no reply.
        case noReply
        case failed(AgentError)
    }

    private struct Waiting {
        let number: UInt64
        let request: AgentRequest
        let id: AgentValue?
        let received: Moment
        /// False when the client has gone.
        var isReplyWanted = true

        func isForgotten(at now: Moment) -> Bool { request.command == nil && received + .seconds(1) < now }
    }

    private enum Item {
        case request(Waiting)
        case malformed(AgentError, id: AgentValue?)
    }

    /// The request in progress.
    private struct Serving {
        enum Kind: Equatable {
            case freeze(OperationID)
            case thaw(OperationID)
            case relayed(tag: String, deadline: Moment)
            /// `guest-info`, which needs the commands of qemu-ga.
            case info(tag: String, deadline: Moment)
        }

        let kind: Kind
        var waiting: Waiting
    }

    private let version: String
    private var reader = AgentRequestReader()
    private var queue: [Item] = []
    private var serving: Serving?
    private var now = Moment(nanoseconds: 0)
    private var effects: [Effect] = []

    /// Whether the answer to a FREEZE was success, and the window has not ended since.
    private(set) var frozenRequest: RequestID?
    /// Whether any channel has a window open. A relayed command would make qemu-ga write a log line.
    private var isAnyWindowOpen = false
    /// Whether the client may be gone. Meanwhile requests wait.
    private var isClientInDoubt = false
    /// Whether a client has synchronized since the port was opened. An earlier freeze can be stale.
    private var isSynchronized: Bool
    private var otherAgent = OtherAgent()
    private var tags: UInt64 = 0
    private var numbers: UInt64 = 0
    /// The reason for the failure of a thaw whose reply is not written (P3).
    private var unwrittenFailure: String?
    /// The command after its deadline: qemu-ga serves no other command before the end of this command.
    private var givenUp: (tag: String, command: String)?

    /// - Parameters:
    ///   - version: Of quiesce, for `guest-info` without qemu-ga.
    ///   - isSynchronized: True for the open port of a previous instance.
    init(version: String, isSynchronized: Bool = false) {
        self.version = version
        self.isSynchronized = isSynchronized
    }

    // MARK: Events

    mutating func received(_ bytes: some Sequence<UInt8>, at now: Moment) -> [Effect] {
        handle(at: now) { session in
            for result in session.reader.read(bytes) { session.enqueue(result) }
        }
    }

    /// The client may have gone. Until the certainty only a thaw is served.
    mutating func clientIsInDoubt(at now: Moment) -> [Effect] {
        handle(at: now) { session in
            session.isClientInDoubt = true
            session.reportUnwrittenFailure()
        }
    }

    mutating func clientIsThere(at now: Moment) -> [Effect] {
        handle(at: now) { $0.isClientInDoubt = false }
    }

    /// The end of a client is no thaw. All requests of the client are dropped, except a thaw.
    mutating func clientIsGone(at now: Moment) -> [Effect] {
        handle(at: now) { session in
            session.reader.reset()
            session.queue = session.queue.compactMap { item in
                guard case .request(var waiting) = item, waiting.request.command == .thaw else { return nil }
                waiting.isReplyWanted = false
                return .request(waiting)
            }
            session.serving?.waiting.isReplyWanted = false
            session.isClientInDoubt = false
            session.reportUnwrittenFailure()
        }
    }

    private mutating func reportUnwrittenFailure() {
        guard let reason = unwrittenFailure else { return }
        unwrittenFailure = nil
        effects.append(.undelivered(reason: reason))
    }

    /// Every reply is written.
    mutating func repliesAreWritten() {
        unwrittenFailure = nil
    }

    mutating func answered(
        _ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?,
        at now: Moment
    ) -> [Effect] {
        handle(at: now) { $0.answered(operation, answer, detail, before: limit) }
    }

    mutating func relayed(_ tag: String, _ result: RelayResult, at now: Moment) -> [Effect] {
        handle(at: now) { $0.relayed(tag, result) }
    }

    /// The connection to qemu-ga has ended.
    mutating func relayLost(at now: Moment) -> [Effect] {
        handle(at: now) { session in
            session.givenUp = nil
            switch session.serving?.kind {
            case .relayed(let tag, _), .info(let tag, _):
                let name = session.serving?.waiting.request.name ?? ""
                let error = AgentError(.generic, "qemu-ga ended before it replied")
                session.relayed(tag, session.otherAgent.repliesToSuccess(name) ? .failed(error) : .noReply)
            default: break
            }
        }
    }

    mutating func setOtherAgentInstalled(_ isInstalled: Bool) {
        otherAgent.isInstalled = isInstalled
    }

    mutating func observed(_ progress: RequestProgress, at now: Moment) -> [Effect] {
        guard case .entered(let state) = progress.event else { return [] }
        return handle(at: now) { session in
            session.isAnyWindowOpen = state.isWindow
            if progress.request != session.frozenRequest || state != .frozen { session.frozenRequest = nil }
        }
    }

    mutating func timePassed(at now: Moment) -> [Effect] {
        handle(at: now) { $0.giveUpOverdue() }
    }

    /// When `timePassed` is due.
    var nextDeadline: Moment? {
        switch serving?.kind {
        case .relayed(_, let deadline), .info(_, let deadline): deadline
        default: nil
        }
    }

    /// Whether more requests are wanted.
    var mayRead: Bool { queue.count < 32 }

    /// The requests without a reply, in order.
    var unanswered: [UnansweredRequests.Request] {
        var requests: [UnansweredRequests.Request] = []
        func add(_ waiting: Waiting) {
            guard waiting.isReplyWanted else { return }
            requests.append(UnansweredRequests.Request(number: waiting.number, id: waiting.id))
        }
        if let serving { add(serving.waiting) }
        for case .request(let waiting) in queue { add(waiting) }
        return requests
    }

    private mutating func handle(at now: Moment, _ event: (inout AgentSession) -> Void) -> [Effect] {
        self.now = now
        event(&self)
        serve()
        defer { effects = [] }
        return effects
    }

    // MARK: The queue

    private mutating func enqueue(_ result: Result<AgentValue, AgentError>) {
        switch result {
        case .failure(let error): queue.append(.malformed(error, id: nil))
        case .success(let value):
            let id = AgentRequest.id(of: value)
            do throws(AgentError) {
                numbers += 1
                let waiting = Waiting(number: numbers, request: try AgentRequest(value), id: id, received: now)
                if waiting.request.isSync { dropForgottenRequests() }
                queue.append(.request(waiting))
            } catch {
                queue.append(.malformed(error, id: id))
            }
        }
    }

    /// A client has given up a relayed command if the client synchronizes a second later.
    private mutating func dropForgottenRequests() {
        let now = now
        queue.removeAll { item in
            if case .request(let waiting) = item { waiting.isForgotten(at: now) } else { false }
        }
        guard let serving, serving.waiting.isForgotten(at: now), case .relayed(let tag, _) = serving.kind else {
            return
        }
        givenUp = (tag, serving.waiting.request.name)
        self.serving = nil
    }

    private mutating func serve() {
        while serving == nil, let item = queue.first {
            if isClientInDoubt {
                guard case .request(let waiting) = item, waiting.request.command == .thaw else { return }
            }
            queue.removeFirst()
            switch item {
            case .malformed(let error, let id): reply(.failure(error), id)
            case .request(let waiting):
                do throws(AgentError) {
                    try serve(waiting)
                } catch {
                    if waiting.isReplyWanted { reply(.failure(error), waiting.id) }
                }
            }
        }
    }

    private mutating func serve(_ waiting: Waiting) throws(AgentError) {
        let request = waiting.request
        switch request.command {
        case .sync, .delimitedSync:
            let id = try request.syncID()
            isSynchronized = true
            reply(.success("\(id)"), waiting.id, isDelimited: request.command == .delimitedSync)
        case .ping:
            try request.expectArguments([])
            reply(.success("{}"), waiting.id)
        case .info:
            try request.expectArguments([])
            serveInfo(waiting)
        case .status:
            try request.expectArguments([])
            reply(.success(frozenRequest == nil ? "\"thawed\"" : "\"frozen\""), waiting.id)
        case .freeze:
            try request.expectArguments([])
            try freeze(waiting, FreezeOptions())
        case .freezeList:
            let paths = try request.mountPoints()
            try freeze(waiting, FreezeOptions(mountPoints: try paths?.map(Self.mountPoint)))
        case .thaw:
            try request.expectArguments([])
            let operation = OperationID.next()
            serving = Serving(kind: .thaw(operation), waiting: waiting)
            effects.append(.thaw(operation))
        case nil: try relay(waiting)
        }
    }

    private mutating func reply(
        _ result: Result<String, AgentError>, _ id: AgentValue?, isDelimited: Bool = false
    ) {
        effects.append(.send(AgentReply(result, id: id, isDelimited: isDelimited).line))
    }

    // MARK: Freezing and thawing

    private mutating func freeze(_ waiting: Waiting, _ options: FreezeOptions) throws(AgentError) {
        if frozenRequest != nil { throw .frozen(waiting.request.name) }
        guard isSynchronized else {
            throw AgentError(
                .generic, "no client has synchronized since quiesced opened the port; send guest-sync first")
        }
        if let paths = options.mountPoints, paths.isEmpty {
            throw AgentError(.generic, "no mount point is named")
        }
        let operation = OperationID.next()
        serving = Serving(kind: .freeze(operation), waiting: waiting)
        effects.append(.freeze(operation, options))
    }

    private static func mountPoint(_ text: String) throws(AgentError) -> FilePath {
        let path = FilePath(text)
        guard path.isAbsolute, !text.unicodeScalars.contains("\0") else {
            throw AgentError(.generic, "\(text) is not an absolute path")
        }
        return path
    }

    private mutating func answered(
        _ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?
    ) {
        guard let serving else { return }
        switch serving.kind {
        case .freeze(operation): finishFreeze(serving, answer, detail, before: limit)
        case .thaw(operation): finishThaw(serving, answer, detail)
        default: return
        }
        self.serving = nil
    }

    private mutating func finishFreeze(
        _ serving: Serving, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?
    ) {
        guard answer == .success else { return finish(serving, .failure(.refused(detail))) }
        // "Frozen" is true until the end of the window.
        if let limit, now >= limit {
            return finish(serving, .failure(AgentError(.generic, "the window ended before FREEZE was answered")))
        }
        frozenRequest = detail.request
        // libvirt sends no thaw after 0.
        finish(serving, .success("\(max(1, (detail.filesystems ?? 0) + (detail.flushed ?? 0)))"))
    }

    private mutating func finishThaw(_ serving: Serving, _ answer: OperationAnswer, _ detail: AnswerDetail) {
        frozenRequest = nil
        guard answer == .failure else { return finish(serving, .success("\(detail.filesystems ?? 0)")) }
        let error = AgentError.refused(detail)
        unwrittenFailure = error.description
        finish(serving, .failure(error))
        // A client in doubt may be gone, and the next client discards the reply.
        if !serving.waiting.isReplyWanted || isClientInDoubt { reportUnwrittenFailure() }
    }

    private mutating func finish(_ serving: Serving, _ result: Result<String, AgentError>) {
        if serving.waiting.isReplyWanted { reply(result, serving.waiting.id) }
    }

    // MARK: The other agent

    private mutating func relay(_ waiting: Waiting) throws(AgentError) {
        let name = waiting.request.name
        if isAnyWindowOpen { throw .frozen(name) }
        guard otherAgent.isInstalled else { throw .notFound(name) }
        let request = try newRelayRequest(name, waiting.request.argumentsText)
        serving = Serving(
            kind: .relayed(tag: request.tag, deadline: now + AgentDeadline.of(name)), waiting: waiting)
        effects.append(.relay(request))
    }

    private mutating func serveInfo(_ waiting: Waiting) {
        guard !isAnyWindowOpen, otherAgent.isInstalled,
            let request = try? newRelayRequest(AgentRequest.Command.info.rawValue, nil)
        else { return reply(.success(info), waiting.id) }
        serving = Serving(kind: .info(tag: request.tag, deadline: now + AgentDeadline.info), waiting: waiting)
        effects.append(.relay(request))
    }

    private mutating func newRelayRequest(
        _ name: String, _ arguments: ArraySlice<UInt8>?
    ) throws(AgentError) -> AgentRelayRequest {
        if let givenUp {
            throw AgentError(.generic, "qemu-ga has not finished \(givenUp.command)")
        }
        tags += 1
        return AgentRelayRequest(
            tag: "quiesce-\(tags)", command: name, arguments: arguments,
            repliesToSuccess: otherAgent.repliesToSuccess(name))
    }

    private mutating func relayed(_ tag: String, _ result: RelayResult) {
        if let given = givenUp, given.tag == tag {
            givenUp = nil
            if given.command == AgentRequest.Command.info.rawValue, case .reply(let line) = result {
                otherAgent.learn(line)
            }
        }
        guard let serving else { return }
        switch serving.kind {
        case .relayed(tag, _):
            self.serving = nil
            guard serving.waiting.isReplyWanted else { return }
            switch result {
            case .noReply: break
            case .failed(let error): reply(.failure(error), serving.waiting.id)
            case .reply(let line):
                if let spliced = AgentReplySplice.replacing(id: tag, with: serving.waiting.id, in: line) {
                    effects.append(.send(spliced))
                } else {
                    reply(.failure(AgentError(.generic, "the reply of qemu-ga is malformed")), serving.waiting.id)
                }
            }
        case .info(tag, _):
            self.serving = nil
            if case .reply(let line) = result { otherAgent.learn(line) }
            finish(serving, .success(info))
        default: break
        }
    }

    private mutating func giveUpOverdue() {
        guard let serving, let deadline = nextDeadline, now >= deadline else { return }
        let name = serving.waiting.request.name
        switch serving.kind {
        case .relayed(let tag, _):
            givenUp = (tag, name)
            // qemu-ga replies to errors only.
            if otherAgent.repliesToSuccess(name) {
                let limit = DurationText.text(AgentDeadline.of(name))
                finish(serving, .failure(AgentError(.generic, "qemu-ga did not finish \(name) within \(limit)")))
            }
        case .info(let tag, _):
            givenUp = (tag, name)
            finish(serving, .success(info))
        case .freeze, .thaw: return
        }
        self.serving = nil
    }

    /// The result of `guest-info`.
    private var info: String {
        otherAgent.info(version: version, isFrozen: frozenRequest != nil || isAnyWindowOpen)
    }
}

extension AgentRequest {
    fileprivate var isSync: Bool { command == .sync || command == .delimitedSync }
}

extension AgentError {
    /// The refusal of qemu-ga 7.2 while filesystems are frozen.
    static func frozen(_ command: String) -> AgentError {
        AgentError(.commandNotFound, "Command \(command) has been disabled: the agent is in frozen state")
    }

    static func notFound(_ command: String) -> AgentError {
        AgentError(.commandNotFound, "The command \(command) has not been found")
    }

    static func refused(_ detail: AnswerDetail) -> AgentError {
        AgentError(.generic, detail.reason ?? "no reason is known")
    }
}

extension RequestState {
    /// Whether filesystems are or may be frozen, by quiesced or by the agent behind `hooks freeze`.
    fileprivate var isWindow: Bool {
        switch self {
        case .freezing, .verifying, .frozen, .holding, .thawing, .releasing: true
        default: false
        }
    }
}
