import FreezeCore
import History

/// What the control channel asks of the daemon beside requests. Neither blocks; the replies come from any thread.
public protocol DaemonInquiry: Sendable {
    /// At once, frozen or not (P9).
    func status(_ reply: @escaping @Sendable (DaemonStatus) -> Void)
    /// The newest first. Not while anything is frozen, because a file is read for it (P7).
    func history(limit: Int, _ reply: @escaping @Sendable (Result<[RequestRecord], HistoryError>) -> Void)
}
