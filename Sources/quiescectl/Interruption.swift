import Dispatch
import Glibc
import Synchronization

/// Turns the signals that ask a program to end into a call, while something must be brought to an end in order: from
/// its making on, SIGINT, SIGTERM and SIGHUP do not end the process.
final class Interruption {
    private let state = State()
    private let sources: [any DispatchSourceSignal]

    init() {
        sources = [SIGINT, SIGTERM, SIGHUP].map { [state] number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler { state.happen() }
            source.resume()
            return source
        }
    }

    deinit {
        for source in sources { source.cancel() }
    }

    var hasHappened: Bool { state.hasHappened }

    /// Calls the handler at each signal, on a thread of its own; at once if there was one already.
    func handle(_ handler: @escaping @Sendable () -> Void) { state.handle(handler) }

    private final class State: Sendable {
        private struct Content {
            var hasHappened = false
            var handler: (@Sendable () -> Void)?
        }

        private let content = Mutex(Content())

        var hasHappened: Bool { content.withLock(\.hasHappened) }

        func happen() {
            let handler = content.withLock { content in
                content.hasHappened = true
                return content.handler
            }
            handler?()
        }

        func handle(_ handler: @escaping @Sendable () -> Void) {
            let hasHappened = content.withLock { content in
                content.handler = handler
                return content.hasHappened
            }
            if hasHappened { handler() }
        }
    }
}
