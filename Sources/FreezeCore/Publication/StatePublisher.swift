/// Publishes the state to the host.
public protocol StatePublisher: Sendable {
    /// Blocks on files. Call on a thread that may block, and not in the window (P7).
    ///
    /// - Parameter isCancelled: True after a request has begun: the publication stops before the next step.
    func publish(_ report: StateReport, isCancelled: @Sendable () -> Bool) -> PublicationResult
}

/// The result of one publication.
public struct PublicationResult: Hashable, Sendable {
    /// False if the publication has to be retried.
    public let isDone: Bool
    /// Lines for the log.
    public let notes: [LogNote]

    public init(isDone: Bool, notes: [LogNote] = []) {
        self.isDone = isDone
        self.notes = notes
    }
}
