import ControlProtocol
import FreezeCore
import Glibc
import History
import LinuxCalls
import Synchronization
import SystemPackage
import Varlink

/// Passes calls of the control socket or of vsock on to the coordinator, and the answers back to the callers.
final class ControlDesk: VarlinkHandler {
    /// A connection that has asked for a window of its own.
    private struct Holder {
        let channel: ChannelID
        /// The request whose window is open, until its THAW is answered.
        var window: RequestID?
    }

    private struct State {
        /// Calls that wait for their operation's answer.
        var waiting: [OperationID: VarlinkCall] = [:]
        /// Calls of `Monitor`, which get replies until the connection ends.
        var monitors: [VarlinkConnectionID: [VarlinkCall]] = [:]
        /// Connections that have asked for a window of their own, and their channels.
        var holders: [VarlinkConnectionID: Holder] = [:]
        var holderCount: UInt64 = 0
        /// Calls of `History` that wait for the end of the window.
        var historyCount = 0

        var monitorCount: Int { monitors.values.reduce(0) { $0 + $1.count } }
    }

    /// Calls that may wait long leave room for calls of `Status`.
    private static let maximumMonitors = 32
    private static let maximumWaitingHistories = 16

    /// More than the history keeps.
    private static let maximumHistory = 1000

    private let inquiry: any DaemonInquiry
    private let access: ControlAccess
    private let deliver: @Sendable (ChannelID, ChannelEvent) -> Void
    private let state = Mutex(State())

    init(
        inquiry: any DaemonInquiry, access: ControlAccess = .admin,
        deliver: @escaping @Sendable (ChannelID, ChannelEvent) -> Void
    ) {
        self.inquiry = inquiry
        self.access = access
        self.deliver = deliver
    }

    // MARK: Calls

    func handle(_ call: VarlinkCall) {
        // Calls without an answer come without a limit: nothing makes the client wait.
        if call.isOneway, !access.isTrusted { return }
        do throws(VarlinkServiceError) {
            guard let method = ControlInterface.Method(qualifiedName: call.method) else {
                return call.fail(.methodNotFound(call.method))
            }
            // keepsPlace also marks an authenticated connection.
            if let reason = access.refusal(of: method, isAuthenticated: call.connection.keepsPlace) {
                return deny(call, reason)
            }
            switch method {
            case .status: status(call)
            case .freeze: try freeze(call)
            case .thaw: try thaw(call)
            case .acknowledge: deliver(.control, .acknowledge(wait(call)))
            case .history: try history(call)
            case .monitor: monitor(call)
            case .authenticate: try authenticate(call)
            }
        } catch {
            call.fail(error)
        }
    }

    private func status(_ call: VarlinkCall) {
        inquiry.status { status in
            call.reply(ControlStatus(status, version: Version.current, pid: getpid(), clock: .current()))
        }
    }

    private func freeze(_ call: VarlinkCall) throws(VarlinkServiceError) {
        let parameters = try call.parameters(as: FreezeParameters.self)
        let options = try FreezeOptions(parameters)
        if let reason = access.refusal(of: parameters) { return deny(call, reason) }
        let channel = !options.freezes ? .hooks : parameters.hold == true ? hold(call.connection) : .control
        deliver(channel, .freeze(wait(call), options))
    }

    private func thaw(_ call: VarlinkCall) throws(VarlinkServiceError) {
        let parameters = try call.parameters(as: ThawParameters.self)
        let wish = ThawWish(
            request: parameters.request.map { RequestID($0) }, isForced: parameters.force ?? false,
            failure: parameters.failure)
        guard parameters.hooksOnly != true || !wish.isForced else { throw .invalidParameter("force") }
        if let reason = access.refusal(of: parameters) { return deny(call, reason) }
        let holder =
            switch access {
            case .admin: wish.isForced ? nil : state.withLock { $0.holders[call.connection.id]?.channel }
            // Never the channel of the control socket, which acts for the admin.
            case .host: holderChannel(call.connection)
            }
        let channel = parameters.hooksOnly == true ? ChannelID.hooks : holder ?? .control
        deliver(channel, .thaw(wait(call), wish))
    }

    private func authenticate(_ call: VarlinkCall) throws(VarlinkServiceError) {
        let token = try call.parameters(as: AuthenticateParameters.self).token
        guard case .host(_, let authenticator?) = access else {
            return refuse(call, "no token is needed here")
        }
        authenticator.submit(call, token)
    }

    private func history(_ call: VarlinkCall) throws(VarlinkServiceError) {
        let limit = try call.parameters(as: HistoryParameters.self).limit ?? Self.maximumHistory
        guard limit > 0 else { throw .invalidParameter("limit") }
        guard admitHistory(call) else { return }
        inquiry.history(limit: min(limit, Self.maximumHistory)) { [self] answer in
            state.withLock { $0.historyCount -= 1 }
            switch answer {
            case .success(let records): call.reply(HistoryReply(records: records))
            case .failure(let error): call.fail(.failed, ControlErrorParameters(request: nil, reason: "\(error)"))
            }
        }
    }

    /// A oneway call gets no answer, and is refused.
    private func admitHistory(_ call: VarlinkCall) -> Bool {
        let isAdmitted = state.withLock { state in
            guard !call.isOneway, state.historyCount < Self.maximumWaitingHistories else { return false }
            state.historyCount += 1
            return true
        }
        if !isAdmitted { refuse(call, "\(Self.maximumWaitingHistories) others wait for the history already") }
        return isAdmitted
    }

    private func refuse(_ call: VarlinkCall, _ reason: String) {
        call.fail(.failed, ControlErrorParameters(request: nil, reason: reason))
    }

    private func deny(_ call: VarlinkCall, _ reason: String) {
        call.fail(.permissionDenied, ControlErrorParameters(request: nil, reason: reason))
    }

    private func monitor(_ call: VarlinkCall) {
        guard call.wantsMore else { return call.fail(.expectedMore) }
        // Under the lock, so that no event precedes the first reply.
        let isAdmitted = state.withLock { state in
            guard !call.isOneway, state.monitorCount < Self.maximumMonitors else { return false }
            call.reply(continuing: MonitorReply(event: nil))
            state.monitors[call.connection.id, default: []].append(call)
            return true
        }
        if !isAdmitted { refuse(call, "\(Self.maximumMonitors) others watch already") }
    }

    /// The connection is not idle from now on, and a half-close ends the connection.
    private func hold(_ connection: VarlinkConnection) -> ChannelID {
        connection.keepsOpen = true
        return holderChannel(connection)
    }

    /// The channel of the connection as the holder of a window: the same for every call.
    private func holderChannel(_ connection: VarlinkConnection) -> ChannelID {
        state.withLock { state in
            if let known = state.holders[connection.id] { return known.channel }
            state.holderCount += 1
            let channel = access.holderChannel(state.holderCount)
            state.holders[connection.id] = Holder(channel: channel)
            return channel
        }
    }

    /// A connection whose window was ended by THAW can be idle again. After an early end of the window, the connection
    /// stays open until the THAW of the connection is answered.
    private func noteAnswer(_ call: VarlinkCall, _ isSuccess: Bool, _ request: RequestID?) {
        state.withLock { state in
            guard let holder = state.holders[call.connection.id] else { return }
            switch ControlInterface.Method(qualifiedName: call.method) {
            case .freeze where isSuccess: state.holders[call.connection.id]?.window = request
            case .thaw where request == nil || request == holder.window:
                state.holders[call.connection.id]?.window = nil
            default: break
            }
            call.connection.keepsOpen = state.holders[call.connection.id]?.window != nil
        }
    }

    private func wait(_ call: VarlinkCall) -> OperationID {
        let operation = OperationID.next()
        state.withLock { $0.waiting[operation] = call }
        return operation
    }

    /// Ends a window that the connection holds. Other requests of the connection continue.
    func connectionClosed(_ connection: VarlinkConnection) {
        let holder = state.withLock { state in
            state.monitors[connection.id] = nil
            return state.holders.removeValue(forKey: connection.id)
        }
        if case .host(_, let authenticator?) = access { authenticator.forget(connection.id) }
        if let holder { deliver(holder.channel, .lost(reason: "the connection that held the window has ended")) }
    }

    // MARK: Answers

    func answer(
        _ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?
    ) {
        guard let call = state.withLock({ $0.waiting.removeValue(forKey: operation) }) else { return }
        let isLate = limit.map { Moment.now >= $0 } ?? false
        noteAnswer(call, answer == .success && !isLate, detail.request)
        guard answer == .success, !isLate else {
            let name = detail.refusal.map(ControlErrorName.init) ?? .failed
            let reason = detail.reason ?? (isLate ? "the window ended before this could be answered" : "it failed")
            return call.fail(name, ControlErrorParameters(request: detail.request?.text, reason: reason))
        }
        switch ControlInterface.Method(qualifiedName: call.method) {
        case .freeze:
            let windowLeft = detail.windowDeadline.map { ($0 - Moment.now).milliseconds } ?? 0
            call.reply(
                FreezeReply(
                    request: detail.request?.text ?? "", windowLeft: max(windowLeft, 0), dryRun: detail.isDryRun,
                    filesystems: detail.filesystems, reason: detail.reason))
        case .acknowledge:
            call.reply(AcknowledgeReply(hooks: detail.acknowledged.map { escapedControlCharacters($0) }))
        default:
            call.reply(
                ThawReply(request: detail.request?.text, dryRun: detail.isDryRun, reason: detail.reason))
        }
    }

    /// Under the lock, so that every subscriber gets the events in order. The replies do not block.
    func observe(_ progress: RequestProgress) {
        state.withLock { state in
            guard !state.monitors.isEmpty else { return }
            let reply = MonitorReply(event: ControlEvent(progress, clock: .current()))
            for call in state.monitors.values.joined() { call.reply(continuing: reply) }
        }
    }
}

/// The most mount points of a call: each is compared with every mount.
private let maximumSelection = 1000

extension FreezeOptions {
    fileprivate init(_ parameters: FreezeParameters) throws(VarlinkServiceError) {
        self.init(
            callsHooks: parameters.hooks ?? true, freezes: parameters.freeze ?? true,
            isRehearsal: parameters.rehearsal ?? false)
        if let names = parameters.mountPoints {
            guard (1...maximumSelection).contains(names.count) else { throw .invalidParameter("mount_points") }
            mountPoints = try names.map { (name) throws(VarlinkServiceError) in
                guard let path = FilePath(escaped: name), path.isAbsolute else {
                    throw .invalidParameter("mount_points")
                }
                return path
            }
        }
        if let milliseconds = parameters.window {
            // Longer than any window, and short enough for a Duration.
            guard milliseconds >= 1, milliseconds <= 86_400_000 else { throw .invalidParameter("window_ms") }
            window = .milliseconds(milliseconds)
        }
        guard freezes || callsHooks else { throw .invalidParameter("hooks") }
        // A window without a freeze belongs to the agent that freezes, and not to a connection.
        guard freezes || parameters.hold != true else { throw .invalidParameter("hold") }
    }
}

extension VarlinkCall {
    fileprivate func fail(_ name: ControlErrorName, _ parameters: ControlErrorParameters) {
        fail(name.qualifiedName, parameters)
    }
}
