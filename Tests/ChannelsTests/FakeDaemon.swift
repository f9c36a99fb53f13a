import Channels
import FreezeCore
import History
import LinuxCalls
import Synchronization
import SystemPackage

/// Stands where the coordinator does: freezes nothing, and is busy after the first FREEZE.
final class FakeDaemon: DaemonInquiry {
    /// What the channel has delivered, in order.
    let seen = Monitor<[String]>([])
    /// The channel of each FREEZE and THAW, in order.
    let channels = Monitor<[ChannelID]>([])
    /// The lines for the log.
    let lines = Monitor<[String]>([])
    /// It holds this daemon, so it is not held in return.
    private struct Link {
        weak var channel: (any RequestChannel & RequestObserver & AnyObject)?
    }

    private let link = Mutex(Link())
    private let isFrozen = Mutex(false)
    /// Whether to tell one event of each kind when asked for the status.
    private let tellsProgress: Bool

    init(tellsProgressAtStatus tellsProgress: Bool = false) {
        self.tellsProgress = tellsProgress
    }

    func attach(_ channel: any RequestChannel & RequestObserver & AnyObject) {
        link.withLock { $0.channel = channel }
    }

    private static func summary(_ options: FreezeOptions) -> String {
        let words = [
            options.mountPoints.map { "of " + $0.map(\.string).joined(separator: ", ") },
            options.callsHooks ? nil : "without hooks", options.freezes ? nil : "hooks only",
            options.window.map { "for \($0)" }, options.isRehearsal ? "rehearsal" : nil,
        ]
        return " (" + words.compactMap(\.self).joined(separator: "; ") + ")"
    }

    // MARK: Inquiries

    func status(_ reply: @escaping @Sendable (DaemonStatus) -> Void) {
        if tellsProgress { tellProgress() }
        var past = RequestRecord(id: RequestID("r0"), channel: .hyperV, clock: .current())
        (past.result, past.level, past.workingHooks) = (.succeeded, .application, ["50-database"])
        reply(
            DaemonStatus(
                overview: RequestMachine(policy: RequestPolicy()).overview, started: .now, isFreezerReady: true,
                channels: [.init(name: "control", state: "listening", isRegistered: true)], last: past,
                lastGood: past))
    }

    func history(limit: Int, _ reply: @escaping @Sendable (Result<[RequestRecord], HistoryError>) -> Void) {
        reply(.success([Self.record]))
    }

    // MARK: Requests

    func take(_ channel: ChannelID, _ event: ChannelEvent) {
        switch event {
        case .freeze, .thaw: channels.update { $0.append(channel) }
        default: break
        }
        switch event {
        case .registered: note("\(channel) registered")
        case .freeze(let operation, let options):
            note("\(channel) freeze" + (options == FreezeOptions() ? "" : Self.summary(options)))
            let isFirst = isFrozen.withLock { isFrozen in
                defer { isFrozen = true }
                return !isFrozen
            }
            answer(operation, isFirst ? nil : .busy)
        case .thaw(let operation, let wish):
            note("\(channel) thaw" + (wish.isForced ? " by force" : ""))
            answer(operation, nil)
        case .acknowledge(let operation):
            note("\(channel) acknowledge")
            var detail = AnswerDetail()
            detail.acknowledged = ["50-database"]
            link.withLock(\.channel)?.answer(operation, .success, detail, before: nil)
        case .lost: note("\(channel) lost")
        case .note(let line): lines.update { $0.append(line.message) }
        case .hotBackup, .thawUndelivered: break
        }
    }

    private func note(_ text: String) {
        seen.update { $0.append(text) }
    }

    private func answer(_ operation: OperationID, _ refusal: AnswerDetail.Refusal?) {
        let detail = AnswerDetail(request: RequestID("r1"), refusal: refusal, reason: refusal?.rawValue)
        link.withLock(\.channel)?.answer(operation, refusal == nil ? .success : .failure, detail, before: nil)
    }

    // MARK: Progress

    private static let record = RequestRecord(id: RequestID("r1"), channel: .control, clock: .current())

    private func tellProgress() {
        let result = TimedResult(error: nil, started: .now, ended: .now)
        let run = HookRun(
            name: "10-a", phase: .freeze, outcome: .exited(status: 0), output: "", isOutputTruncated: false,
            started: .now, duration: .zero)
        let events: [RequestProgress.Event] = [
            .entered(.planning), .planned(FreezePlan(filesystems: []), []), .hookStarted("10-a", .freeze),
            .hookEnded(run), .froze("/", result), .thawed("/", result), .failed(reason: "no"),
            .finished(Self.record),
        ]
        for event in events {
            link.withLock(\.channel)?.observe(
                RequestProgress(request: RequestID("r1"), channel: .control, event: event))
        }
    }
}
