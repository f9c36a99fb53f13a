/// The published facts, all read at the same moment.
public struct StateReport: Hashable, Sendable {
    public enum Daemon: String, Hashable, Sendable {
        case running
        /// Accepts requests, and freezes nothing.
        case dryRun = "dry run"
        /// The daemon exits: no program answers the host.
        case stopped
    }

    public var requests: RecentRequests
    /// Hooks with a failed call for thaw.
    public var attention: [String]
    public var daemon: Daemon
    public var time: WallTime

    public init(requests: RecentRequests, attention: [String], daemon: Daemon, time: WallTime) {
        self.requests = requests
        self.attention = attention
        self.daemon = daemon
        self.time = time
    }

    /// A failure wins over attention: `attention` must not be read as "the last backup is good" (P3).
    public var state: BackupState {
        if !failures.isEmpty { return .failed }
        return causes.isEmpty ? .ok : .attention
    }

    /// The reasons for a state other than ``BackupState/ok``; empty for ``BackupState/ok``.
    public var causes: [String] {
        var causes = failures
        if !attention.isEmpty { causes.append("a hook failed at thaw") }
        if requests.isPartlyUnknown { causes.append("a part of the history or of the attention is unreadable") }
        if requests.lastWhole == nil { causes.append("no backup of the whole machine is on record") }
        switch daemon {
        case .running: break
        case .dryRun: causes.append("quiesced freezes nothing: dry run")
        case .stopped: causes.append("quiesced is stopped")
        }
        return causes
    }

    private var failures: [String] {
        var failures: [String] = []
        if let whole = requests.lastWhole, whole.result == .failed {
            failures.append("the last backup of the whole machine failed")
        }
        if let last = requests.last, last.result == .failed, last.id != requests.lastWhole?.id {
            failures.append("the last request failed")
        }
        return failures
    }
}
