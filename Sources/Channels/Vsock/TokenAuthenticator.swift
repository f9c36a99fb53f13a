import ControlProtocol
import FreezeCore
import LinuxCalls
import Synchronization
import Varlink

/// Compares the tokens of callers with the token of the configuration. The calls come on the thread of the server; the
/// thread of the channel compares and answers.
final class TokenAuthenticator: Sendable {
    /// The number of wrong tokens that ends a connection.
    static let mostWrong = 3

    private struct Attempt {
        let call: VarlinkCall
        let token: String
    }

    private struct State {
        var queue = TokenQueue<Attempt>()
        var wrong: [VarlinkConnectionID: Int] = [:]
    }

    private let token: AccessToken
    /// Wakes the thread of the channel.
    private let wakeUp: WakeUp
    private let notes: ControlNotes
    private let state = Mutex(State())

    init(_ token: AccessToken, waking wakeUp: WakeUp, notes: ControlNotes) {
        self.token = token
        self.wakeUp = wakeUp
        self.notes = notes
    }

    /// Queues the call. ``compareDue(at:)`` answers.
    func submit(_ call: VarlinkCall, _ token: String) {
        state.withLock { $0.queue.add(Attempt(call: call, token: token)) }
        wakeUp.signal()
    }

    /// Drops the calls and the count of an ended connection.
    func forget(_ connection: VarlinkConnectionID) {
        state.withLock { state in
            state.queue.remove { $0.call.connection.id == connection }
            state.wrong[connection] = nil
        }
    }

    /// The time of the next call of ``compareDue(at:)``; nil if no token waits.
    var due: Moment? { state.withLock(\.queue.due) }

    /// Compares every token that is due, and answers the calls.
    func compareDue(at now: Moment) {
        while let attempt = state.withLock({ $0.queue.takeDue(at: now) }) {
            if token.matches(attempt.token) {
                attempt.call.connection.keepsPlace = true
                attempt.call.reply(NoReply())
            } else {
                refuse(attempt.call, at: now)
            }
        }
    }

    private func refuse(_ call: VarlinkCall, at now: Moment) {
        let count = state.withLock { state in
            state.queue.noteWrong(at: now)
            let count = state.wrong[call.connection.id, default: 0] + 1
            state.wrong[call.connection.id] = count
            return count
        }
        notes.report("token", "the host has shown a wrong token")
        call.fail(
            ControlErrorName.permissionDenied.qualifiedName,
            ControlErrorParameters(request: nil, reason: "the token is wrong"),
            endsConnection: count >= Self.mostWrong)
    }

    private struct NoReply: Encodable {}
}
