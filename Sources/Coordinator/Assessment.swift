import FreezeCore
import LinuxCalls

/// The look at the machine that HOT_BACKUP asks for: one at a time, and over before a request's window (P7).
final class Assessment: Sendable {
    private enum State {
        case none
        case running
        /// A request has begun: what runs stops before it opens anything more.
        case cancelled
    }

    private let state = Monitor(State.none)

    /// False if one is running still.
    func begin() -> Bool {
        state.update { state in
            guard state == .none else { return false }
            state = .running
            return true
        }
    }

    func end() {
        state.update { $0 = .none }
    }

    func cancel() {
        state.update { if $0 == .running { $0 = .cancelled } }
    }

    var isCancelled: Bool { state.update { $0 == .cancelled } }

    /// Waits until none is running; false if the moment comes first.
    func waitForEnd(until deadline: Moment) -> Bool {
        state.wait(until: deadline) { $0 == .none ? true : nil } ?? false
    }
}
