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
    private var waiter: (request: String, continuation: CheckedContinuation<HistoryRecord?, Never>)?
    private var tasks: [Task<Void, Never>] = []

    /// - Parameter isQuiet: Shows nothing.
    static func start(
        _ socket: FilePath, isQuiet: Bool
    ) async throws(ControlFailure) -> RequestProgressDisplay {
        let connection = try await ControlConnection.open(socket)
        let display = RequestProgressDisplay(connection, isQuiet: isQuiet)
        await display.follow(try connection.monitor())
        return display
    }

    private init(_ connection: ControlConnection, isQuiet: Bool) {
        self.connection = connection
        printer = isQuiet ? nil : ProgressPrinter()
    }

    /// How the request ended; nil if the daemon is gone before it tells.
    func finished(_ request: String?) async -> HistoryRecord? {
        guard let request else { return nil }
        var record = records[request]
        if record == nil, !isOver {
            record = await withCheckedContinuation { waiter = (request, $0) }
        }
        await stop()
        return record
    }

    func stop() async {
        for task in tasks { task.cancel() }
        printer?.end()
        printer = nil
        await connection.close()
    }

    /// Returns when the subscription stands, so that no event is missed.
    private func follow(_ replies: VarlinkReplies<MonitorReply>) async {
        let (standing, stands) = AsyncStream.makeStream(of: Void.self)
        let watch = Task {
            do {
                for try await reply in replies {
                    if let event = reply.event { take(event) } else { stands.finish() }
                }
            } catch {
                // The daemon is gone: whoever waits for it hears that on his own connection.
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
        for await _ in standing {}
    }

    private func take(_ event: ControlEvent) {
        printer?.show(event)
        guard event.kind == .finished, let request = event.request, let record = event.record else { return }
        records[request] = record
        if let waiter, waiter.request == request {
            self.waiter = nil
            waiter.continuation.resume(returning: record)
        }
    }

    private func end() {
        isOver = true
        waiter?.continuation.resume(returning: nil)
        waiter = nil
    }
}
