import ControlProtocol
import FreezeCore
import History
import SystemPackage
import Varlink

/// Watches requests on a connection of its own, and shows on standard error how they go on.
actor RequestProgressDisplay {
    private let connection: ControlConnection
    private var printer: ProgressPrinter?
    private var records: [String: HistoryRecord] = [:]
    private var isOver = false
    /// Requests that have answered FREEZE.
    private var answered: Set<String> = []
    /// Who waits for the next event, or the end.
    private var waiters: [CheckedContinuation<Void, Never>] = []
    private var tasks: [Task<Void, Never>] = []

    /// - Parameter isQuiet: Shows nothing.
    static func start(
        _ socket: FilePath, isQuiet: Bool
    ) async throws(ControlFailure) -> RequestProgressDisplay {
        let connection = try await ControlConnection.open(socket)
        let display = RequestProgressDisplay(connection, isQuiet: isQuiet)
        do {
            try await display.follow(try connection.monitor())
        } catch {
            await display.stop()
            throw error
        }
        return display
    }

    private init(_ connection: ControlConnection, isQuiet: Bool) {
        self.connection = connection
        printer = isQuiet ? nil : ProgressPrinter()
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

    /// Returns when all is shown of a request whose FREEZE was answered with failure: its hooks are still called for
    /// thaw. One that never began, or is another's, is not waited for.
    ///
    /// - Parameter control: Where the answer came from.
    /// - Returns: The failure; without the name of a request that never began, of which there is nothing to show.
    func failed(_ failure: ControlFailure, _ control: ControlConnection) async -> ControlFailure {
        guard case .refused(.failed, var parameters) = failure, let request = parameters.request,
            let status = try? await control.status()
        else {
            await stop()
            return failure
        }
        guard status.request?.id == request || status.lastBackup?.id == request else {
            await stop()
            parameters.request = nil
            return .refused(.failed, parameters)
        }
        _ = await finished(request)
        return failure
    }

    private func nextEvent() async {
        await withCheckedContinuation { waiters.append($0) }
    }

    func stop() async {
        for task in tasks { task.cancel() }
        printer?.end()
        printer = nil
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
                printer?.refresh()
            }
        }
        tasks = [watch, clock]
        for await error in standing { throw connection.failure(error) }
    }

    private func take(_ event: ControlEvent) {
        printer?.show(event)
        if let request = event.request {
            if event.state == .frozen || event.state == .rehearsing { answered.insert(request) }
            if let record = event.record { records[request] = record }
        }
        wakeWaiters()
    }

    private func end() {
        isOver = true
        wakeWaiters()
    }

    private func wakeWaiters() {
        for waiter in waiters { waiter.resume() }
        waiters = []
    }
}
