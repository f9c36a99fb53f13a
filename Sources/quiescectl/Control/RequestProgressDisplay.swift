import ArgumentParser
import ControlProtocol
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Varlink

/// Watches requests on a connection of its own, and shows on standard error how they go on.
final class RequestProgressDisplay: Sendable {
    fileprivate struct State {
        var printer = ProgressPrinter()
        /// The request of this channel that began last.
        var current: String?
        /// The command that runs in the window.
        var command: String?
        var isWindowLost = false
        var records: [String: HistoryRecord] = [:]
        /// Nothing more is heard of the daemon.
        var isOver = false
        /// Nothing more is shown.
        var isStopped = false
        /// Requests that have answered FREEZE.
        var answered: Set<String> = []
    }

    private let connection: ControlConnection
    private let channel: String
    private let isQuiet: Bool
    private let state = Monitor(State())

    /// - Parameters:
    ///   - channel: The name of the caller's channel.
    ///   - isQuiet: Shows no progress, but errors, and what a command is waited for.
    /// - Returns: When the subscription stands, so that no event is missed.
    static func start(
        _ socket: FilePath, channel: String = "control", isQuiet: Bool
    ) throws(ControlFailure) -> RequestProgressDisplay {
        let connection = try ControlConnection.open(socket)
        let display = RequestProgressDisplay(connection, channel, isQuiet: isQuiet)
        do {
            try display.follow(try connection.monitor())
        } catch {
            display.stop()
            throw error
        }
        return display
    }

    private init(_ connection: ControlConnection, _ channel: String, isQuiet: Bool) {
        self.connection = connection
        self.channel = channel
        self.isQuiet = isQuiet
    }

    /// The request of this channel that began last.
    var current: String? { state.update(\.current) }

    /// How the request ended; nil if the daemon is gone before it tells.
    func finished(_ request: String?) -> HistoryRecord? {
        guard let request else { return nil }
        wait { $0.records[request] != nil }
        stop()
        return state.update { $0.records[request] }
    }

    /// Returns when all is shown that came before the answer to FREEZE: that comes on another connection.
    func frozen(_ request: String) {
        wait { $0.answered.contains(request) }
        stop()
    }

    /// Waits until it holds, or nothing more is heard.
    private func wait(until holds: (State) -> Bool) {
        while state.wait(until: nil, { holds($0) || $0.isOver ? true : nil }) == nil {}
    }

    /// Tells a failure, at once. Returns when all is shown of the request: its hooks are still called for thaw. One that
    /// never began, or is another's, is not waited for.
    ///
    /// - Parameters:
    ///   - failure: The answer to FREEZE.
    ///   - isCancelled: Whether the user had wanted that.
    ///   - control: Where the answer came from.
    /// - Returns: The exit status.
    func failed(_ failure: ControlFailure, isCancelled: Bool, _ control: ControlConnection) -> ExitCode {
        let failure = withoutUnknownRequest(failure, control)
        var request: String?
        if case .refused(.failed, let parameters) = failure { request = parameters.request }
        let told = isCancelled ? ControlFailure.cancelled(request: request) : failure
        state.update { $0.printer.interrupt { printError(told) } }
        _ = finished(request)
        stop()
        return told.exitCode
    }

    /// A request that never began has nothing to show, so that its name helps nobody.
    private func withoutUnknownRequest(
        _ failure: ControlFailure, _ control: ControlConnection
    ) -> ControlFailure {
        guard case .refused(.failed, var parameters) = failure, let request = parameters.request else {
            return failure
        }
        let status = try? control.status()
        if status?.request?.id == request || status?.lastBackup?.id == request { return failure }
        parameters.request = nil
        return .refused(.failed, parameters)
    }

    // MARK: The command of exec

    /// From now on the end of the window is told, and what is waited for then.
    func commandStarted(_ name: String, process: Int32) {
        state.update { state in
            state.command = "\(escapedControlCharacters(name)) (process \(process))"
            if state.isWindowLost { state.tellLostWindow() }
        }
    }

    func commandEnded() {
        state.update { state in
            state.command = nil
            state.printer.stopWaiting()
        }
    }

    func stop() {
        state.update { state in
            state.isStopped = true
            state.printer.end()
        }
        connection.close()
    }

    // MARK: Events

    /// Returns when the subscription stands, so that no event is missed.
    private func follow(_ replies: VarlinkReplies<MonitorReply>) throws(ControlFailure) {
        do throws(VarlinkError) {
            while let reply = try replies.next() {
                guard let event = reply.event else { break }
                record(event)
            }
        } catch {
            throw connection.failure(error)
        }
        do throws(Errno) {
            try OperatingSystemThread.start("progress") { self.watch(replies) }
        } catch {
            throw .notReachable(connection.socket, problem: "there is no thread to start it: \(error)")
        }
    }

    /// Once the subscription stands nobody hears of an error here, but on his own connection.
    private func watch(_ replies: VarlinkReplies<MonitorReply>) {
        while let next = try? replies.next(until: .now + .seconds(1)) {
            switch next {
            case .reply(let reply): if let event = reply.event { record(event) }
            case .nothingYet: refresh()
            case .end: return end()
            }
        }
        end()
    }

    private func refresh() {
        state.update { state in
            if !state.isStopped { state.printer.refresh() }
        }
    }

    private func record(_ event: ControlEvent) {
        state.update { state in
            guard !state.isStopped else { return }
            if !isQuiet { state.printer.show(event) }
            guard let request = event.request else { return }
            if event.state == .planning, event.channel == channel { state.current = request }
            if event.kind == .failed, request == state.current, state.answered.contains(request) {
                state.windowLost()
            }
            if let entered = event.state, [.frozen, .holding, .rehearsing].contains(entered) {
                state.answered.insert(request)
            }
            if let record = event.record { state.records[request] = record }
        }
    }

    private func end() {
        state.update { state in
            state.isOver = true
            // A daemon that is gone holds no window.
            if !state.isStopped { state.windowLost() }
        }
    }
}

extension RequestProgressDisplay.State {
    fileprivate mutating func windowLost() {
        guard !isWindowLost else { return }
        isWindowLost = true
        if command != nil { tellLostWindow() }
    }

    fileprivate mutating func tellLostWindow() {
        guard let command else { return }
        printer.wait(for: command, "the window has ended before the command")
    }
}
