import Dispatch
import FreezeCore
import Glibc
import LinuxCalls
import Synchronization

/// Waits for the signal that ends a held round of hooks, or for its deadline. From its making on no such signal ends the
/// process.
final class RoundEnd {
    private let state = State()
    private let sources: [any DispatchSourceSignal]

    init() {
        sources = [HeldRound.goodEnd, SIGINT, SIGTERM, SIGHUP].map { [state] number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                let reason = "the snapshot has failed, or this was ended by a signal"
                state.end(number == HeldRound.goodEnd ? .good : .failed(reason))
            }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }

    /// Calls the handler at a signal that ends the round as failed.
    func onFailure(_ handler: @escaping @Sendable () -> Void) { state.onFailure(handler) }

    /// - Returns: Why the round has failed; nil after a good end.
    func wait(atMost limit: Duration) async -> String? {
        let watchdog = Task { [state] in
            try await Task.sleep(for: limit)
            state.end(
                .failed(
                    "`quiescectl hooks thaw` did not come within freeze.max_window (\(DurationText.text(limit)))"))
        }
        defer { watchdog.cancel() }
        return await state.wait().reason
    }

    private enum End: Sendable {
        case good
        case failed(String)

        var reason: String? { if case .failed(let reason) = self { reason } else { nil } }
    }

    private final class State: Sendable {
        private struct Content {
            var end: End?
            var continuation: CheckedContinuation<End, Never>?
            var failureHandler: (@Sendable () -> Void)?
        }

        private let content = Mutex(Content())

        func onFailure(_ handler: @escaping @Sendable () -> Void) {
            let end = content.withLock { content in
                content.failureHandler = handler
                return content.end
            }
            if end?.reason != nil { handler() }
        }

        func wait() async -> End {
            await withCheckedContinuation { continuation in
                let end = content.withLock { content in
                    if content.end == nil { content.continuation = continuation }
                    return content.end
                }
                if let end { continuation.resume(returning: end) }
            }
        }

        /// The first counts.
        func end(_ end: End) {
            let (continuation, handler) = content.withLock { content in
                guard content.end == nil else {
                    return (nil as CheckedContinuation<End, Never>?, nil as (@Sendable () -> Void)?)
                }
                content.end = end
                defer { content.continuation = nil }
                return (content.continuation, end.reason == nil ? nil : content.failureHandler)
            }
            handler?()
            continuation?.resume(returning: end)
        }
    }
}
