import SystemPackage

/// What became of one filesystem in a request.
public struct FilesystemRecord: Hashable, Sendable {
    public let planned: PlannedFilesystem
    public var flushes: [FlushResult] = []
    public var freeze: TimedResult?
    public var thaw: TimedResult?
    /// Its FIFREEZE outlived the request.
    public var isStuck = false
    /// Tasks that sleep inside a write to it, for which its FIFREEZE would wait, or waits.
    public var holders: [WriteHolder] = []

    public init(planned: PlannedFilesystem) {
        self.planned = planned
    }
}

/// Everything a request did, for the history and the log.
public struct RequestRecord: Hashable, Sendable {
    public enum Result: String, Hashable, Sendable {
        case succeeded
        case failed
    }

    public let id: RequestID
    public let channel: ChannelID
    public let started: Moment
    public var ended: Moment
    public var filesystems: [FilesystemRecord] = []
    /// Filesystems that were not frozen because they are in no mount table.
    public var unreachable: [UnreachableFilesystem] = []
    /// The order in which hooks were called.
    public var hooks: [HookRun] = []
    /// Hooks that were not run because they are not trusted: name and why.
    public var refusedHooks: [PlannedHook] = []
    /// When FREEZE was answered.
    public var answered: Moment?
    /// Whether FREEZE was answered with success.
    public var isAnsweredWithSuccess = false
    /// From before the first FIFREEZE …
    public var windowOpened: Moment?
    /// … to after the last FITHAW.
    public var windowClosed: Moment?
    public var result = Result.failed
    /// How good the snapshot is; nil for a failed request.
    public var level: ConsistencyLevel?
    /// Why it failed; or why the level is not the highest, and what was left out of the plan.
    public var reason: String?
    /// What a failure is about, if that has a name.
    public var subject: FailureSubject?
    /// The options of the request. A request of a stand-in is a rehearsal.
    public var options = FreezeOptions()
    /// True for a dry run: no filesystem was frozen, and no hook called.
    public var isDryRun = false
    /// The hooks that a dry run would have called, in the order of freeze.
    public var listedHooks: [String] = []

    /// The hooks that did their work before the freeze, in the order of their calls: the level `application` rests on them.
    public var workingHooks: [String] {
        hooks.filter { $0.phase == .freeze && $0.outcome.didWork }.map(\.name)
    }

    /// True for a backup of the whole machine, at whatever level.
    public var isBackup: Bool { !isDryRun && options.purpose == nil }

    /// The hooks whose last call for thaw failed, so that their applications may be down.
    public var attention: [String] {
        let calls = hooks.filter { $0.phase == .thaw && HookKind(hookName: $0.name) == .plain }
        let last = Dictionary(calls.map { ($0.name, $0.outcome) }) { _, last in last }
        return last.filter { !$0.value.succeeded }.keys.sorted()
    }

    public init(id: RequestID, channel: ChannelID, started: Moment) {
        self.id = id
        self.channel = channel
        self.started = started
        self.ended = started
    }
}
