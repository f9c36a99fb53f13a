import SystemPackage

/// An operation that waits for its answer.
struct PendingOperation: Hashable, Sendable {
    enum Meaning: Hashable, Sendable {
        /// The THAW that ends a frozen window: success if all went well.
        case endsWindow
        /// A THAW that cancels, or follows, a failed FREEZE: success if nothing is left frozen.
        case harmless
        /// The THAW of a window that had ended early: failure.
        case lateThaw
        /// A THAW by hand of another channel's request: success once nothing is frozen.
        case forced
        /// HOT_BACKUP or FREEZE while frozen: failure, and the host's THAW may still come.
        case startsAnew
        /// A FREEZE that waited for the end of this request, and never began: failure.
        case neverBegan(RequestID, reason: String)
    }

    let channel: ChannelID
    let operation: OperationID
    let meaning: Meaning
    let received: Moment
}

/// A FREEZE that waits for the thaw hooks of the request before it.
struct WaitingFreeze: Hashable, Sendable {
    let channel: ChannelID
    let operation: OperationID
    let id: RequestID
    let options: FreezeOptions
    let received: WallClock
}

/// The longest window of a request.
struct WindowLimit: Hashable, Sendable {
    /// The name of the setting, for messages.
    let name: String
    /// From the first FIFREEZE, or from the answer to FREEZE without a freeze, to the end of the window.
    let duration: Duration
}

/// The request that is being served.
struct ActiveRequest: Sendable {
    let id: RequestID
    let channel: ChannelID
    let windowLimit: WindowLimit
    /// The FREEZE, until it is answered.
    var freezeOperation: OperationID?
    /// Operations that are answered when everything is thawed.
    var pendingOperations: [PendingOperation] = []
    var preparation = Preparation.opening
    /// The last plan.
    var planned: PlannedRequest?
    /// The filesystems to freeze, in the ledger's order.
    var targets: [PlannedFilesystem] = []
    /// Per target: nil until its FIFREEZE was issued.
    var progress: [TargetProgress] = []
    /// The step that is being frozen.
    var step = 0
    var expeditesRCU = false
    /// Session hooks that hold what they hold, in the order of their start.
    var sessionsHeld: [Int] = []
    /// Plain hooks that were started, in order, and not yet called for thaw.
    var hooksOwedThaw: [HookReference] = []
    /// The hook that runs.
    var runningHook: HookReference?
    var nextHook = 0
    var hooksDeadline: Moment
    /// What the plain hooks have left of the time for all hooks of the phase.
    var hooksRemaining: Duration?
    /// How often the thaw hook whose turn it is could not be started.
    var failedThawStarts = 0
    /// Hooks that failed or were refused, where the policy goes on without them.
    var failedHooks: [String] = []
    var replans = 0
    /// The first thing that went wrong; nil while all is well.
    var failure: String?
    /// What it is about, if that has a name.
    var failureSubject: FailureSubject?
    /// FREEZE was answered with success.
    var wasFrozen = false
    /// The owner's THAW may still come: not once it was answered before the thaw was done, nor once the caller who
    /// held the window is gone.
    var mayThawFollow = true
    var windowDeadline: Moment?
    var isTakenOver = false
    /// Filesystems that were not frozen in time, and have not returned since.
    var lateFreezes: Set<Int> = []
    /// What was thawed, and when, in this order.
    var thaws: [(mountPoint: FilePath, moment: Moment)] = []
    var isThawFinished = false
    var unflushed: [PlannedFilesystem] = []
    /// As it was read last, before the first FIFREEZE.
    var memory: DirtyMemory?
    /// Of a good request of the previous instance, whose thaw hooks were cut short.
    var leftoverOutcome: WindowOutcome?
    var record: RequestRecord

    /// The options of the request.
    var options: FreezeOptions { record.options }
}

/// A hook of this request, or of the request that the previous instance left.
enum HookReference: Hashable, Sendable {
    case planned(index: Int)
    case leftover(PlannedHook)
}

/// How far one filesystem is, as far as the machine was told.
public enum TargetProgress: String, Hashable, Sendable {
    case planned
    case freezing
    case frozen
    /// FIFREEZE failed, or it is thawed.
    case settled = "thawed"
}
