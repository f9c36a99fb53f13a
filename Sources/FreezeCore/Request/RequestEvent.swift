import SystemPackage

/// A request's id, unique over restarts.
public struct RequestID: Hashable, Sendable, CustomStringConvertible {
    public let text: String

    public init(_ text: String) {
        self.text = text
    }

    public var description: String { text }
}

/// Names one piece of work that was asked for, so that its late answer is not taken for another's.
public struct StepID: Hashable, Sendable {
    public let number: Int

    public init(number: Int) {
        self.number = number
    }
}

/// A hook as a plan lists it.
public struct PlannedHook: Hashable, Sendable {
    public let name: String
    public let kind: HookKind
    /// Why it must not be run; nil if it is trusted.
    public let refusal: String?

    public init(name: String, kind: HookKind = .plain, refusal: String? = nil) {
        self.name = name
        self.kind = kind
        self.refusal = refusal
    }
}

/// Everything made ready for a freeze: descriptors open, ledger written, the freezer's threads waiting.
public struct PreparedRequest: Hashable, Sendable {
    public let plan: FreezePlan
    public let hooks: [PlannedHook]

    public init(plan: FreezePlan, hooks: [PlannedHook]) {
        self.plan = plan
        self.hooks = hooks
    }
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

/// What a crashed daemon's life left, after its filesystems were thawed.
public struct Leftover: Hashable, Sendable {
    public let requestID: RequestID
    public let channel: ChannelID
    /// Hooks that were started and not called for thaw, in the order of their thaw.
    public let hooksOwedThaw: [PlannedHook]
    /// Mount points whose FIFREEZE has still not returned.
    public let stuck: [FilePath]

    public init(requestID: RequestID, channel: ChannelID, hooksOwedThaw: [PlannedHook], stuck: [FilePath]) {
        self.requestID = requestID
        self.channel = channel
        self.hooksOwedThaw = hooksOwedThaw
        self.stuck = stuck
    }
}

/// What happens to the request state machine.
///
/// Indices count the filesystems to freeze in the plan's order, and the hooks in theirs.
public enum RequestEvent: Hashable, Sendable {
    // From the driver's start
    /// What an earlier life left is thawed; nil if there was nothing.
    case recovered(Leftover?)
    /// A FIFREEZE of an earlier life has returned and was thawed.
    case leftoverSettled(FilePath)

    // From channels
    case hotBackup(ChannelID, OperationID)
    case freeze(ChannelID, OperationID, RequestID)
    case thaw(ChannelID, OperationID)
    case channelLost(ChannelID, reason: String)

    // Answers to effects
    case prepared(StepID, PreparedRequest)
    case preparationFailed(StepID, reason: String, plan: FreezePlan?)
    case flushed(StepID, FlushResult)
    case flushFinished(StepID)
    /// `allFrozen`: every word of the ledger says frozen, by the freezer.
    case mountsChecked(StepID, change: String?, allFrozen: Bool)
    case hookFinished(StepID, HookRun)

    // From the freezer
    case froze(Int, TimedResult)
    case freezerThaws(reason: String)
    /// ECANCELED: another guard had taken the superblock over, and reports it.
    case thawed(Int, TimedResult)
    /// Whatever could be thawed is; superblocks whose FIFREEZE hangs are still to come.
    case thawFinished
    case freezerDied

    /// A moment given by `nextDeadline` has come.
    case timePassed
    case shutdown(reason: String)
}

/// What the request state machine wants done. The driver does it, in order, and never waits for it.
public enum RequestEffect: Hashable, Sendable {
    /// Thaw what an earlier life left. Answered by `recovered`.
    case recover
    /// From now on requests may come.
    case openChannels
    /// Look now, at HOT_BACKUP, for what would make a FREEZE fail, and log it.
    case assess
    /// Plan, open every filesystem, list the hooks, write the ledger, ready the freezer. `isAgain`: hooks have run, and
    /// the first list of hooks stays: indices and the ledger's progress of hooks belong to it.
    case prepare(StepID, RequestID, ChannelID, isAgain: Bool)
    case flush(StepID)
    /// Compare the mount table with the plan.
    case checkMounts(StepID)
    case runHook(StepID, index: Int, HookPhase, succeeded: Bool, level: ConsistencyLevel?, timeout: Duration)
    /// A hook of an earlier life, by name, for thaw.
    case runLeftoverHook(StepID, name: String, RequestID, ChannelID, timeout: Duration)
    case cancelHook(StepID)
    case freeze(level: Int, freezeDeadline: Moment, windowDeadline: Moment)
    case thaw
    /// The freezer is dead or silent: kill it and thaw what it left.
    case takeOverThaw
    case answer(ChannelID, OperationID, Verdict)
    /// Channels may open their devices again.
    case reopenChannels
    case note(ChannelNote)
    case record(RequestRecord)
    /// The request is over: close its descriptors, remove its ledger.
    case release
    case exit
}
