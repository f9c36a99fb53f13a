import ArgumentParser
import ControlProtocol
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Varlink

/// Watches requests on a separate connection, and shows their progress on standard error.
final class RequestProgressDisplay: Sendable {
    fileprivate struct State {
        var printer = ProgressPrinter()
        /// The request of this channel that began last.
        var current: String?
        /// The command that runs in the window.
        var command: String?
        var isWindowLost = false
        var records: [String: RequestRecord] = [:]
        /// The subscription has ended.
        var isOver = false
        /// Output has ended.
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
    ///   - isQuiet: Shows errors, and the reason for waiting for a command, but no progress.
    /// - Returns: After the subscription has begun, so that no event is missed.
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

    /// The record of the request; nil if the daemon ends first.
    func finished(_ request: String?) -> RequestRecord? {
        guard let request else { return nil }
        wait { $0.records[request] != nil }
        stop()
        return state.update { $0.records[request] }
    }

    /// Returns when all progress before the answer to FREEZE is shown. The answer comes on another connection.
    func frozen(_ request: String) {
        wait { $0.answered.contains(request) }
        stop()
    }

    /// Waits for the condition, or for the end of the subscription.
    private func wait(until holds: (State) -> Bool) {
        while state.wait(until: nil, { holds($0) || $0.isOver ? true : nil }) == nil {}
    }

    /// Shows a failure at once. Returns at the end of the request, whose hooks are still called for thaw. A request that
    /// never began, or of another caller, is not waited for.
    ///
    /// - Parameters:
    ///   - failure: The answer to FREEZE.
    ///   - isCancelled: Whether the user has cancelled.
    ///   - control: The connection of the answer.
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

    /// Without the id of a request that never began: the request is not on record.
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

    /// Shows the end of the window from here on, and the command that is waited for.
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

    /// Returns after the subscription has begun, so that no event is missed.
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

    /// Errors are ignored: the connection of the request reports them.
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
            // A dead daemon holds no window.
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
