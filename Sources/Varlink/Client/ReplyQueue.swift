import FreezeCore
import LinuxCalls

/// The answers to one call, from the connection's loop to the thread that waits for them.
final class ReplyQueue: Sendable {
    private struct State {
        var messages: [JSONMessage] = []
        var end: Result<Void, VarlinkError>?
    }

    enum Next {
        case message(JSONMessage)
        case end
        case nothingYet
    }

    private let state = Monitor(State())

    func add(_ message: JSONMessage) {
        state.update { state in
            if state.end == nil { state.messages.append(message) }
        }
    }

    /// Nothing more comes. Only the first call counts.
    func finish(throwing error: VarlinkError?) {
        state.update { $0.end = $0.end ?? error.map { .failure($0) } ?? .success(()) }
    }

    /// Blocks; nil for no limit.
    ///
    /// - Throws: Why nothing more comes, after the last message.
    func next(until deadline: Moment?) throws(VarlinkError) -> Next {
        let next = state.wait(until: deadline) { state -> Result<Next, VarlinkError>? in
            if !state.messages.isEmpty { return .success(.message(state.messages.removeFirst())) }
            return state.end.map { $0.map { .end } }
        }
        return try (next ?? .success(.nothingYet)).get()
    }
}
