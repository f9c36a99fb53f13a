import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// Waits for the signal that ends a held round of hooks, or for its deadline. From its making on no such signal ends the
/// process.
final class RoundEnd: Sendable {
    private enum End: Sendable {
        case good
        case failed(String)

        var reason: String? { if case .failed(let reason) = self { reason } else { nil } }
    }

    private struct State {
        var end: End?
        var failureHandler: (@Sendable () -> Void)?
    }

    private let state = Monitor(State())

    init() throws(Errno) {
        try TerminationSignals.handle([HeldRound.goodEnd, SIGINT, SIGTERM, SIGHUP]) { [state] number in
            let reason = "the snapshot has failed, or this was ended by a signal"
            let handler = state.update { state -> (@Sendable () -> Void)? in
                // The first counts.
                guard state.end == nil else { return nil }
                state.end = number == HeldRound.goodEnd ? .good : .failed(reason)
                return number == HeldRound.goodEnd ? nil : state.failureHandler
            }
            handler?()
        }
    }

    /// Calls the handler at a signal that ends the round as failed.
    func onFailure(_ handler: @escaping @Sendable () -> Void) {
        let end = state.update { state in
            state.failureHandler = handler
            return state.end
        }
        if end?.reason != nil { handler() }
    }

    /// - Returns: Why the round has failed; nil after a good end.
    func wait(atMost limit: Duration) -> String? {
        if let end = state.wait(until: .now + limit, { $0.end }) { return end.reason }
        return "`quiescectl hooks thaw` did not come within freeze.max_window (\(DurationText.text(limit)))"
    }
}
