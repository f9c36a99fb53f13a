@testable import FreezeCore

/// What whoever watches was told, in this life of the daemon.
struct ProgressCheck {
    /// The state that the last event led to, if it was told.
    var entered: RequestState?
    /// Where it is.
    var state = RequestState.recovering
    private var begun: RequestID?
    private var failure: String?
    private var runningHook: (name: String, phase: HookPhase)?
    /// Session hooks that were ready: they end when they will, all at once if need be.
    private var heldSessions: Set<String> = []
    private var finished: Set<RequestID> = []
    private var record: RequestRecord?

    mutating func began(_ id: RequestID) -> String? {
        if let begun { return "\(id) begins, and \(begun) is not finished" }
        begun = id
        return nil
    }

    mutating func recorded(_ record: RequestRecord) {
        self.record = record
    }

    /// What is wrong with the story, if anything.
    mutating func problem(with progress: RequestProgress) -> String? {
        switch progress.event {
        case .entered(let state):
            entered = state
        case .hookStarted(let name, .thaw) where heldSessions.contains(name): break
        case .hookStarted(let name, let phase):
            if let runningHook { return "\(name) is started while \(runningHook.name) runs" }
            runningHook = (name, phase)
        case .hookEnded(let run) where run.phase == .thaw && heldSessions.contains(run.name):
            heldSessions.remove(run.name)
        case .hookEnded(let run):
            guard let hook = runningHook, hook.name == run.name, hook.phase == run.phase else {
                return "\(run.name) ends without having been started"
            }
            runningHook = nil
            if run.outcome == .ready { heldSessions.insert(run.name) }
        case .failed(let reason):
            if failure != nil { return "it fails twice" }
            failure = reason
        case .finished(let record):
            defer { (begun, failure, self.record) = (nil, nil, nil) }
            return problem(with: record)
        case .planned, .flushed, .froze, .thawed: break
        }
        return nil
    }

    private mutating func problem(with record: RequestRecord) -> String? {
        if let runningHook { return "it is finished while \(runningHook.name) runs" }
        if let session = heldSessions.first { return "it is finished while \(session) is held" }
        if !finished.insert(record.id).inserted { return "\(record.id) is finished twice" }
        if let begun, begun != record.id { return "\(record.id) is finished, \(begun) has begun" }
        if self.record?.id != record.id { return "\(record.id) is finished, and not recorded" }
        if (record.result == .failed) != (failure != nil) {
            return "\(record.id) \(record.result), told otherwise"
        }
        // A freeze that was late may be explained when it returns.
        if let failure, record.reason?.hasPrefix(failure) != true {
            return "\(record.reason ?? "") is recorded, \(failure) told"
        }
        return nil
    }

    /// What is left when nothing is left to happen.
    var leftover: String? {
        begun.map { "\($0) is never finished" }
    }
}

extension Simulation {
    func inspect(_ progress: RequestProgress) {
        if case .entered(let state) = progress.event {
            coverage.noteTransition(from: self.progress.state, to: state)
            self.progress.state = state
        }
        if let problem = self.progress.problem(with: progress) { violate("progress", problem) }
    }

    /// After an event: the states that were told are those that were entered.
    func inspectState(before: RequestState) {
        guard isDaemonUp, machine.state != progress.entered ?? before else { return }
        violate("progress", "\(machine.state) was entered, but \(progress.entered ?? before) was told")
    }
}
