import FreezeCore
import History
import Hooks
import LinuxCalls
import Synchronization
import SystemPackage

/// What reaches the coordinator's thread.
enum CoordinatorMessage: Sendable {
    /// For the state machine as it is.
    case event(RequestEvent)
    case channel(ChannelID, ChannelEvent)
    /// A preparation's first half: planned and opened, but the freezer does not have it yet.
    case opened(WorkID, Result<OpenedRequest, PreparationFailure>)
    /// What became of a superblock that the daemon thawed in the freezer's place.
    case thawedInPlace(RequestID, Int, TimedResult)
    /// How the start of a session hook went, and the session if that was well.
    case sessionStarted(WorkID, index: Int, HookRun, HeldSession?)
    case sessionEnded(RequestID, index: Int, HookRun)
    case freezerStarted(FreezerLife, processID: Int32)
    case freezerEnded(FreezerLife, how: String)
    /// Time to try again what there was no thread for.
    case takeOverDue(RequestID)
    case recoveryDue
    /// The unfinished request of the previous instance.
    case leftover(RecoveryResult)
    case recoveryFailed(RecoveryError)
    case note(LogNote)
    case statusAsked(@Sendable (DaemonStatus) -> Void)
    case historyAsked(limit: Int, @Sendable (HistoryAnswer) -> Void)
    case lastRequestsRead(last: RequestRecord?, lastGood: RequestRecord?, RecentRequests)
    /// A request of a previous instance is in the history now.
    case recorded(RequestRecord)
}

/// The way into the coordinator's thread, from every other one. Never blocks.
final class Mailbox: Sendable {
    let wakeUp: WakeUp
    private let messages = Mutex<[CoordinatorMessage]>([])
    private let delayed = Mutex<[(due: Moment, message: CoordinatorMessage)]>([])

    init() throws(Errno) {
        wakeUp = try WakeUp()
    }

    func post(_ message: CoordinatorMessage) {
        messages.withLock { $0.append(message) }
        wakeUp.signal()
    }

    func post(_ event: RequestEvent) {
        post(.event(event))
    }

    /// Posts the message after a delay.
    func post(_ message: CoordinatorMessage, after delay: Duration) {
        delayed.withLock { $0.append((Moment.now + delay, message)) }
        wakeUp.signal()
    }

    /// When a delayed message comes; nil without one.
    var nextDue: Moment? { delayed.withLock { delayed in delayed.lazy.map(\.due).min() } }

    /// The received messages in order, then the delayed messages that are due.
    func takeAll() -> [CoordinatorMessage] {
        wakeUp.clear()
        let arrived = messages.withLock { messages in
            defer { messages.removeAll(keepingCapacity: true) }
            return messages
        }
        let due = takeDue()
        // The usual case costs no allocation: in the window writers wait.
        return due.isEmpty ? arrived : arrived + due
    }

    private func takeDue() -> [CoordinatorMessage] {
        delayed.withLock { delayed in
            guard !delayed.isEmpty else { return [] }
            let now = Moment.now
            let due = delayed.filter { $0.due <= now }.sorted { $0.due < $1.due }
            delayed.removeAll { $0.due <= now }
            return due.map(\.message)
        }
    }
}
