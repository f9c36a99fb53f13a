import Glibc
import LinuxCalls
import SystemPackage

/// Turns the signals that ask a program to end into a call, while something must be brought to an end in order: from
/// its making on, SIGINT, SIGTERM and SIGHUP do not end the process.
final class Interruption: Sendable {
    private struct State {
        var hasHappened = false
        var handler: (@Sendable () -> Void)?
    }

    private let state = Monitor(State())

    init() throws(Errno) {
        try TerminationSignals.handle(TerminationSignals.ofCommands) { [state] _ in
            let handler = state.update { state in
                state.hasHappened = true
                return state.handler
            }
            handler?()
        }
    }

    var hasHappened: Bool { state.update(\.hasHappened) }

    /// Calls the handler at each signal, on a thread of its own; at once if there was one already.
    func onSignal(_ handler: @escaping @Sendable () -> Void) {
        let hasHappened = state.update { state in
            state.handler = handler
            return state.hasHappened
        }
        if hasHappened { handler() }
    }
}
