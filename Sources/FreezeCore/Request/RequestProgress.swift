import SystemPackage

/// What a request has got to, told as it happens to whoever watches. Nothing depends on it.
public struct RequestProgress: Hashable, Sendable {
    public enum Event: Hashable, Sendable {
        case entered(RequestState)
        /// The plan is made and everything opened.
        case planned(FreezePlan, [PlannedHook])
        case flushed(FilePath, TimedResult)
        case hookStarted(String, HookPhase)
        case hookEnded(HookRun)
        case froze(FilePath, TimedResult)
        case thawed(FilePath, TimedResult)
        /// The first thing that went wrong.
        case failed(reason: String)
        case finished(RequestRecord)
    }

    /// Nil where no request is served.
    public let request: RequestID?
    public let channel: ChannelID?
    public let event: Event

    public init(request: RequestID?, channel: ChannelID?, event: Event) {
        self.request = request
        self.channel = channel
        self.event = event
    }
}
