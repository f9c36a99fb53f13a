import Synchronization

/// A value that comes once, from whoever has it first; what comes later is dropped. It is handed on, not kept: a session
/// hook lives as long as somebody holds it.
final class Promise<Value: Sendable>: Sendable {
    private enum State {
        case empty
        case awaited(CheckedContinuation<Value, Never>)
        case fulfilled(Value)
        case handedOn
    }

    private let state = Mutex(State.empty)

    func fulfill(_ value: Value) {
        let continuation = state.withLock { state -> CheckedContinuation<Value, Never>? in
            switch state {
            case .empty:
                state = .fulfilled(value)
                return nil
            case .awaited(let continuation):
                state = .handedOn
                return continuation
            case .fulfilled, .handedOn:
                return nil
            }
        }
        continuation?.resume(returning: value)
    }

    /// The value. To be asked for once only.
    var value: Value {
        get async {
            await withCheckedContinuation { continuation in
                let value = state.withLock { state -> Value? in
                    guard case .fulfilled(let value) = state else {
                        state = .awaited(continuation)
                        return nil
                    }
                    state = .handedOn
                    return value
                }
                if let value { continuation.resume(returning: value) }
            }
        }
    }
}
