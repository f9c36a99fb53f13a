import FreezeCore
import History

/// The inquiries of the control channel, beside requests. Neither blocks; the replies come from any thread.
public protocol DaemonInquiry: Sendable {
    /// At once, frozen or not (P9).
    func status(_ reply: @escaping @Sendable (DaemonStatus) -> Void)
    /// The newest first. Waits while anything is frozen, because the history is a file (P7).
    func history(limit: Int, _ reply: @escaping @Sendable (Result<[RequestRecord], HistoryError>) -> Void)
}
