import SystemPackage

/// When an ioctl was issued and how it ended.
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

/// How the flush of one filesystem ended.
public struct FlushResult: Hashable, Sendable {
    public let device: DeviceNumber
    public let error: Errno?
    public let started: Moment
    public let duration: Duration

    public init(device: DeviceNumber, error: Errno?, started: Moment, duration: Duration) {
        self.device = device
        self.error = error
        self.started = started
        self.duration = duration
    }
}
