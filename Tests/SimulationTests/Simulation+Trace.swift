import FreezeCore
import SystemPackage

extension Simulation.Happening {
    /// The daemon's life that it belongs to; nil if it happens without it too.
    var life: Int? {
        switch self {
        case .daemon(_, let life), .guardThaws(_, let life), .recoveryTakesOver(let life), .recoveryEnds(let life),
            .isOpened(_, let life), .mountsAreRead(_, let life), .tasksAreRead(_, _, let life),
            .hookEnds(_, _, _, _, let life),
            .sessionEnds(_, _, _, let life), .publicationEnds(_, let life), .clientLeavesBeforeAnswer(_, let life):
            life
        default: nil
        }
    }

    /// Whether it has to wait while the daemon is stopped.
    var needsDaemon: Bool {
        switch self {
        case .report, .freezerIsReady, .freezerEnds, .hostActs, .hostHangsUp, .channelGivesUp: true
        default: life != nil
        }
    }

    /// Whether it comes at a moment of CLOCK_BOOTTIME, which goes on while the machine is suspended.
    var followsBootTime: Bool {
        switch self {
        case .freezerWakes, .recoveryTakesOver, .recoveryEnds, .channelGivesUp: true
        default: false
        }
    }

    /// Whether it would not be seen in the events that the machine gets.
    var isWorthTracing: Bool {
        switch self {
        case .daemon, .report, .freezerIsReady, .freezerEnds, .hostActs, .isOpened, .mountsAreRead,
            .tasksAreRead,
            .hookEnds, .sessionEnds, .publicationEnds,
            .freezerWakes,
            .driverGivesUp,
            .channelGivesUp:
            false
        default: true
        }
    }
}

// What Swift prints of a plan or a record fills pages.

extension RequestEvent {
    var brief: String {
        switch self {
        case .opened(let work, let planned):
            "opened(\(work.number), steps \(planned.plan.steps.map { $0.map(\.mountPoint.string) }), "
                + "hooks \(planned.hooks.map(\.name)))"
        case .hookFinished(let work, let run):
            "hookFinished(\(work.number), \(run.name) \(run.phase) \(run.outcome))"
        case .sessionEnded(let index, let run): "sessionEnded(\(index), \(run.outcome))"
        case .flushed(let work, let device, let result):
            "flushed(\(work.number), \(device), \(result.error.map { "\($0)" } ?? "done"))"
        case .froze(let index, let result): "froze(\(index), \(result.error.map { "\($0)" } ?? "done"))"
        case .thawed(let index, let result): "thawed(\(index), \(result.error.map { "\($0)" } ?? "done"))"
        default: "\(self)"
        }
    }
}

extension RequestEffect {
    var brief: String {
        switch self {
        case .record(let record): "record(\(record.id), \(record.result), \(record.reason ?? ""))"
        default: "\(self)"
        }
    }
}
