import FreezeCore
import LinuxCalls

/// The answers to one call, from the loop of the connection to the waiting thread.
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

    /// Ends the queue. Only the first call counts.
    func finish(throwing error: VarlinkError?) {
        state.update { $0.end = $0.end ?? error.map { .failure($0) } ?? .success(()) }
    }

    /// Blocks; nil for no limit.
    ///
    /// - Throws: After the last message, the error that has ended the queue.
    func next(until deadline: Moment?) throws(VarlinkError) -> Next {
        let next = state.wait(until: deadline) { state -> Result<Next, VarlinkError>? in
            if !state.messages.isEmpty { return .success(.message(state.messages.removeFirst())) }
            return state.end.map { $0.map { .end } }
        }
        return try (next ?? .success(.nothingYet)).get()
    }
}
