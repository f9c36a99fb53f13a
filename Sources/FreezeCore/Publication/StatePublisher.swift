/// Publishes the state to the host.
public protocol StatePublisher: Sendable {
    /// Blocks on files: call on a thread that may block, and not in the window (P7).
    ///
    /// - Parameter isCancelled: Becomes true when a request begins: the publication ends before its next step.
    func publish(_ report: StateReport, isCancelled: @Sendable () -> Bool) -> PublicationResult
}

/// The result of one publication.
public struct PublicationResult: Hashable, Sendable {
    /// False for a publication that is to be tried again.
    public let isDone: Bool
    /// For the log.
    public let notes: [LogNote]

    public init(isDone: Bool, notes: [LogNote] = []) {
        self.isDone = isDone
        self.notes = notes
    }
}
