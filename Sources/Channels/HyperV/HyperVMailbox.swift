import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// What other threads have to say to the channel's thread.
final class HyperVMailbox: Sendable {
    struct Answer: Sendable {
        let operation: OperationID
        let verdict: OperationAnswer
        /// When it stops being true.
        let limit: Moment?
    }

    private struct State {
        var answers: [Answer] = []
        var mayOpen = true
        var isStopping = false
    }

    /// Readable when there is something new.
    let wakeUp: WakeUp
    /// Readable for good once the thread has ended.
    let ended: WakeUp
    private let state = Mutex(State())

    init() throws(Errno) {
        wakeUp = try WakeUp()
        ended = try WakeUp()
    }

    func post(_ answer: Answer) {
        state.withLock { $0.answers.append(answer) }
        wakeUp.signal()
    }

    func setMayOpen(_ mayOpen: Bool) {
        state.withLock { $0.mayOpen = mayOpen }
        wakeUp.signal()
    }

    func stop() {
        state.withLock { $0.isStopping = true }
        wakeUp.signal()
    }

    /// The answers given until now, and whether to stop after them.
    func takeAnswers() -> (answers: [Answer], isStopping: Bool) {
        wakeUp.clear()
        return state.withLock { state in
            defer { state.answers = [] }
            return (state.answers, state.isStopping)
        }
    }

    var mayOpen: Bool { state.withLock(\.mayOpen) }
}
