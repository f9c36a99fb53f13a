import FreezeCore
import History

extension ControlEvent {
    /// - Parameter clock: From about the time of the event.
    public init(_ progress: RequestProgress, clock: WallClock) {
        let kind: Kind =
            switch progress.event {
            case .entered: .state
            case .planned: .planned
            case .flushed: .flushed
            case .hookStarted: .hookStarted
            case .hookEnded: .hookEnded
            case .froze: .froze
            case .thawed: .thawed
            case .failed: .failed
            case .finished: .finished
            }
        self.init(
            time: clock.wallTime, request: progress.request?.text, channel: progress.channel?.name, kind: kind)
        fill(from: progress.event)
    }

    private mutating func fill(from event: RequestProgress.Event) {
        switch event {
        case .entered(let state):
            self.state = ControlState(state)
        case .planned(let plan, let hooks):
            freeze = plan.filesystems(.freeze).count
            sync = plan.filesystems(.sync).count
            skip = plan.filesystems(.skip).count
            self.hooks = hooks.map { escapedControlCharacters($0.name) }
        case .flushed(let mountPoint, let result):
            self.mountPoint = mountPoint.escaped
            duration = result.duration.milliseconds
            problem = result.error.map { "\($0)" }
        case .hookStarted(let name, let phase):
            hook = escapedControlCharacters(name)
            self.phase = phase.rawValue
        case .hookEnded(let run):
            hook = escapedControlCharacters(run.name)
            phase = run.phase.rawValue
            duration = run.duration.milliseconds
            problem = run.outcome.failureClause.map { escapedControlCharacters($0) }
            if run.outcome.isSkipped { skipped = true }
        case .froze(let mountPoint, let result), .thawed(let mountPoint, let result):
            self.mountPoint = mountPoint.escaped
            duration = result.duration.milliseconds
            problem = result.error.map { "\($0)" }
        case .failed(let reason):
            problem = reason
        case .finished(let record):
            self.record = record
        }
    }
}
