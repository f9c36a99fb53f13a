/// A hook with a failed call for thaw: its application may be down, although the backup is good.
///
/// Kept until a call for thaw succeeds after a freeze in which the hook did its work, or until an admin acknowledges it.
public struct Attention: Hashable, Sendable {
    public let hook: String
    /// The request of the failed call.
    public let request: RequestID
    /// What went wrong, in a clause.
    public let problem: String
    /// When the call failed. Before this boot the moment may lie below zero.
    public let since: Moment

    public init(hook: String, request: RequestID, problem: String, since: Moment) {
        self.hook = hook
        self.request = request
        self.problem = problem
        self.since = since
    }
}
