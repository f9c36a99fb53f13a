import ArgumentParser
import ControlProtocol
import FreezeCore
import History
import SystemPackage
import Varlink

/// Watches requests on a connection of its own, and shows on standard error how they go on.
actor RequestProgressDisplay {
    private let connection: ControlConnection
    private let channel: String
    private let isQuiet: Bool
    private var printer = ProgressPrinter()
    /// The request of this channel that began last.
    private(set) var current: String?
    /// The command that runs in the window.
    private var command: String?
    private var isWindowLost = false
    private var records: [String: HistoryRecord] = [:]
    private var isOver = false
    /// Requests that have answered FREEZE.
    private var answered: Set<String> = []
    /// Who waits for the next event, or the end.
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var tasks: [Task<Void, Never>] = []

    /// - Parameters:
    ///   - channel: The name of the caller's channel.
    ///   - isQuiet: Shows no progress, but errors, and what a command is waited for.
    static func start(
        _ socket: FilePath, channel: String = "control", isQuiet: Bool
    ) async throws(ControlFailure) -> RequestProgressDisplay {
        let connection = try await ControlConnection.open(socket)
        let display = RequestProgressDisplay(connection, channel, isQuiet: isQuiet)
        do {
            try await display.follow(try connection.monitor())
        } catch {
            await display.stop()
            throw error
        }
        return display
    }

    private init(_ connection: ControlConnection, _ channel: String, isQuiet: Bool) {
        self.connection = connection
        self.channel = channel
        self.isQuiet = isQuiet
    }

    /// How the request ended; nil if the daemon is gone before it tells.
    func finished(_ request: String?) async -> HistoryRecord? {
        guard let request else { return nil }
        while records[request] == nil, !isOver { await nextEvent() }
        await stop()
        return records[request]
    }

    /// Returns when all is shown that came before the answer to FREEZE: that comes on another connection.
    func frozen(_ request: String) async {
        while !answered.contains(request), !isOver { await nextEvent() }
        await stop()
    }

    /// Tells a failure, at once. Returns when all is shown of the request: its hooks are still called for thaw. One that
    /// never began, or is another's, is not waited for.
    ///
    /// - Parameters:
    ///   - failure: The answer to FREEZE.
    ///   - isCancelled: Whether the user had wanted that.
    ///   - control: Where the answer came from.
    /// - Returns: The exit status.
    func failed(_ failure: ControlFailure, isCancelled: Bool, _ control: ControlConnection) async -> ExitCode {
        let failure = await withoutUnknownRequest(failure, control)
        var request: String?
        if case .refused(.failed, let parameters) = failure { request = parameters.request }
        let told = isCancelled ? ControlFailure.cancelled(request: request) : failure
        printer.interrupt { printError(told) }
        _ = await finished(request)
        await stop()
        return told.exitCode
    }

    /// A request that never began has nothing to show, so that its name helps nobody.
    private func withoutUnknownRequest(
        _ failure: ControlFailure, _ control: ControlConnection
    ) async -> ControlFailure {
        guard case .refused(.failed, var parameters) = failure, let request = parameters.request else {
            return failure
        }
        let status = try? await control.status()
        if status?.request?.id == request || status?.lastBackup?.id == request { return failure }
        parameters.request = nil
        return .refused(.failed, parameters)
    }

    // MARK: The command of exec

    /// From now on the end of the window is told, and what is waited for then.
    func commandStarted(_ name: String, process: Int32) {
        command = "\(escapedControlCharacters(name)) (process \(process))"
        if isWindowLost { tellLostWindow() }
    }

    func commandEnded() {
        command = nil
        printer.stopWaiting()
    }

    private func windowLost() {
        guard !isWindowLost else { return }
        isWindowLost = true
        if command != nil { tellLostWindow() }
    }

    private func tellLostWindow() {
        guard let command else { return }
        printer.wait(for: command, "the window has ended before the command")
    }

    private func nextEvent() async {
        await withCheckedContinuation { waiters.append($0) }
    }

    func stop() async {
        for task in tasks { task.cancel() }
        printer.end()
        await connection.close()
    }

    /// Returns when the subscription stands, so that no event is missed.
    private func follow(_ replies: VarlinkReplies<MonitorReply>) async throws(ControlFailure) {
        let (standing, stands) = AsyncStream.makeStream(of: VarlinkError.self)
        let watch = Task {
            do throws(VarlinkError) {
                for try await reply in replies {
                    if let event = reply.event { take(event) } else { stands.finish() }
                }
            } catch {
                // Once the subscription stands nobody hears of it here, but on his own connection.
                stands.yield(error)
            }
            stands.finish()
            end()
        }
        let clock = Task {
            while !Task.isCancelled {
                try? await Task.sleep(for: .seconds(1))
                printer.refresh()
            }
        }
        tasks = [watch, clock]
        for await error in standing { throw connection.failure(error) }
    }

    private func take(_ event: ControlEvent) {
        if !isQuiet { printer.show(event) }
        if let request = event.request {
            if event.state == .planning, event.channel == channel { current = request }
            if event.kind == .failed, request == current, answered.contains(request) { windowLost() }
            if event.state == .frozen || event.state == .rehearsing { answered.insert(request) }
            if let record = event.record { records[request] = record }
        }
        wakeWaiters()
    }

    private func end() {
        isOver = true
        // A daemon that is gone holds no window.
        windowLost()
        wakeWaiters()
    }

    private func wakeWaiters() {
        for waiter in waiters { waiter.resume() }
        waiters = []
    }
}
