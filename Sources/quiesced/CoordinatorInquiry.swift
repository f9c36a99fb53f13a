import Channels
import Coordinator
import FreezeCore
import History

/// The coordinator, as the control channel asks it.
struct CoordinatorInquiry: DaemonInquiry {
    let tellStatus: @Sendable (@escaping @Sendable (DaemonStatus) -> Void) -> Void
    let tellHistory: @Sendable (Int, @escaping @Sendable (HistoryAnswer) -> Void) -> Void

    func status(_ reply: @escaping @Sendable (DaemonStatus) -> Void) {
        tellStatus(reply)
    }

    func history(limit: Int, _ reply: @escaping @Sendable (Result<[RequestRecord], HistoryError>) -> Void) {
        tellHistory(limit, reply)
    }
}
