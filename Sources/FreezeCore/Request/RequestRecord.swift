import SystemPackage

/// Everything that one request did: written by the state machine, kept in the history, sent over the control socket, and
/// drawn as a timeline.
public struct RequestRecord: Hashable, Sendable {
    public enum Result: String, Hashable, Sendable {
        case succeeded
        case failed
    }

    /// The number of items that a bounded record leaves out.
    public struct Omission: Codable, Hashable, Sendable {
        public var filesystems: Int
        public var hooks: Int

        public init(filesystems: Int, hooks: Int) {
            self.filesystems = filesystems
            self.hooks = hooks
        }
    }

    public let id: RequestID
    public let channel: ChannelID
    /// Both clocks when FREEZE came. Of a record from a file, the moments count from FREEZE.
    public private(set) var clock: WallClock
    public var ended: Moment
    /// Frozen ones by step and mount point, then the synced, then the skipped.
    public var filesystems: [FilesystemRecord] = []
    /// Filesystems that were not frozen because they are in no mount table.
    public var unreachable: [UnreachableFilesystem] = []
    /// Every call, in order.
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
    /// The hooks that did their work before the freeze, in the order of the calls: the base of the level `application`.
    public var workingHooks: [String] = []
    /// The hooks whose last call for thaw failed, so that their applications may be down.
    public var attention: [String] = []
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
    /// Nil for a whole record.
    public var omitted: Omission?

    public init(id: RequestID, channel: ChannelID, clock: WallClock) {
        self.id = id
        self.channel = channel
        self.clock = clock
        self.ended = clock.moment
    }

    public var started: Moment { clock.moment }
    public var duration: Duration { ended - started }
    /// Orders records from a file, whose moments count from FREEZE.
    public var endedWallTime: WallTime { clock.wallTime(of: ended) }

    /// Nil if no filesystem was frozen.
    public var window: Duration? { windowOpened.map { (windowClosed ?? ended) - $0 } }

    /// Success was told to the host, and the window failed afterwards: a snapshot taken in the window is not to be trusted.
    public var isLost: Bool { result == .failed && isAnsweredWithSuccess && !isDryRun }

    /// The purpose in a few words; nil for a backup of the whole machine.
    public var purpose: String? {
        let words = [isDryRun ? "dry run" : nil, options.purpose].compactMap(\.self)
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }

    /// True for a reliable backup of the whole machine, at whatever level.
    public var isGoodBackup: Bool { result == .succeeded && purpose == nil }

    /// The part of the record that `status` shows.
    ///
    /// - Parameter now: For a record from a file: moves the moments to this boot, by the wall clock. Moments before
    ///   this boot are negative.
    public func withoutDetails(fromFileAt now: WallClock? = nil) -> RequestRecord {
        var record = self
        (record.filesystems, record.unreachable, record.hooks, record.refusedHooks) = ([], [], [], [])
        (record.answered, record.windowOpened, record.windowClosed) = (nil, nil, nil)
        if let now {
            let age = Duration.milliseconds(now.wallTime.milliseconds - clock.wallTime.milliseconds)
            record.clock = WallClock(moment: now.moment + (.zero - age), wallTime: clock.wallTime)
            record.ended = record.started + duration
        }
        return record
    }
}

extension [HookRun] {
    /// The hooks that did their work before the freeze, in the order of their calls.
    public var working: [String] { filter { $0.phase == .freeze && $0.outcome.didWork }.map(\.name) }

    /// The hooks whose last call for thaw failed, in the order of their names.
    public var failedThaws: [String] {
        let calls = filter { $0.phase == .thaw && HookKind(hookName: $0.name) == .plain }
        let last = Dictionary(calls.map { ($0.name, $0.outcome) }) { _, last in last }
        return last.filter { !$0.value.succeeded }.keys.sorted()
    }
}
