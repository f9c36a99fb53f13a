import SystemPackage

/// When an operation on a filesystem was begun, and how the operation ended.
public struct TimedResult: Hashable, Sendable {
    /// Nil for success.
    public let error: Errno?
    public let started: Moment
    public let ended: Moment

    public init(error: Errno?, started: Moment, ended: Moment) {
        self.error = error
        self.started = started
        self.ended = ended
    }

    public var duration: Duration { ended - started }
}
