import Synchronization

/// The look at the machine that HOT_BACKUP asks for: one at a time, and over before a request's window (P7).
final class Assessment: Sendable {
    private enum State {
        case none
        case running
        /// A request has begun: what runs stops before it opens anything more.
        case cancelled
    }

    private let state = Mutex(State.none)

    /// False if one is running still.
    func begin() -> Bool {
        state.withLock { state in
            guard state == .none else { return false }
            state = .running
            return true
        }
    }

    func end() {
        state.withLock { $0 = .none }
    }

    func cancel() {
        state.withLock { if $0 == .running { $0 = .cancelled } }
    }

    var isCancelled: Bool { state.withLock { $0 == .cancelled } }
}
