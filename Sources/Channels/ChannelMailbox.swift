import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// The messages of other threads for the thread of a channel.
final class ChannelMailbox: Sendable {
    struct Answer: Sendable {
        let operation: OperationID
        let answer: OperationAnswer
        let detail: AnswerDetail
        /// The end of the truth of the answer: "frozen" is true until the end of the window. Nil for no end.
        let limit: Moment?
    }

    /// In the order of the coordinator.
    enum Message: Sendable {
        case answer(Answer)
        case progress(RequestProgress)
    }

    private struct State {
        var messages: [Message] = []
        var mayOpen = true
        var isStopping = false
    }

    /// Readable when a message has come, or the thread is to stop.
    let wakeUp: WakeUp
    /// Readable for good once the thread has ended.
    private let ended: WakeUp
    private let state = Mutex(State())

    init() throws(Errno) {
        wakeUp = try WakeUp()
        ended = try WakeUp()
    }

    func post(_ message: Message) {
        state.withLock { $0.messages.append(message) }
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

    /// The new messages, and whether the thread is to stop afterwards.
    func takeMessages() -> (messages: [Message], isStopping: Bool) {
        wakeUp.clear()
        return state.withLock { state in
            defer { state.messages = [] }
            return (state.messages, state.isStopping)
        }
    }

    var mayOpen: Bool { state.withLock(\.mayOpen) }

    // MARK: The thread

    /// Starts the thread of the channel. The main thread handles all signals.
    ///
    /// - Parameter isUrgent: Whether the priority is raised, because all writers wait while the thread reads a THAW. Threads
    ///   that the thread starts inherit the priority.
    /// - Throws: EAGAIN when there are no more threads.
    func startThread(
        _ name: String, isUrgent: Bool = true, _ run: @escaping @Sendable () -> Void
    ) throws(Errno) {
        let ended = ended
        try OperatingSystemThread.start(name) {
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_BLOCK, &all, nil)
            if isUrgent { ThreadPriority.set(ThreadPriority.raised) }
            run()
            ended.signal()
        }
    }

    /// Waits until the thread has ended; false if the moment came first.
    func waitUntilEnded(_ deadline: Moment) -> Bool {
        !pollDescriptors([(ended.descriptor, .readable)], until: deadline)[0].isEmpty
    }
}
