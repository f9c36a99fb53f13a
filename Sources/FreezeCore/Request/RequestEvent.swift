import SystemPackage

/// The events of the request state machine.
///
/// Indices count the filesystems to freeze, and the hooks, in the order of the plan.
public enum RequestEvent: Hashable, Sendable {
    // From the driver's start
    /// The recovery has ended; nil if the previous instance left no request.
    case recovered(Leftover?)
    /// A FIFREEZE of the previous instance has returned, and the filesystem is thawed.
    case leftoverSettled(FilePath)
    /// The attention that previous instances have kept.
    case attentionRecalled([Attention])
    /// The driver has read the last requests of previous instances, or cannot read the history.
    case pastRecalled

    // From channels
    /// The host can reach the channel. `isStandIn` if the device is not the kernel's: its requests are rehearsals.
    case registered(ChannelID, isStandIn: Bool)
    case hotBackup(ChannelID, OperationID)
    /// With both clocks, read when FREEZE came.
    case freeze(ChannelID, OperationID, RequestID, FreezeOptions = FreezeOptions(), WallClock)
    /// With findings about the window, if `RequestMachine.endsWindow` says that the THAW ends a window.
    case thaw(ChannelID, OperationID, ThawWish = .own, WindowFindings = .none)
    /// The failure of a THAW has reached no client.
    case thawUndelivered(ChannelID, reason: String)
    case channelLost(ChannelID, reason: String)
    /// An admin has seen what needs attention.
    case acknowledge(ChannelID, OperationID)

    // Answers to effects
    /// The plan is made, and every filesystem of it is open.
    case opened(WorkID, PlannedRequest)
    /// The last value is the filesystem that caused the failure, if known.
    case openingFailed(WorkID, reason: String, plan: FreezePlan?, FilePath? = nil)
    /// The ledger could not be written, or not be sent to the freezer. Not reported if the freezer has ended:
    /// `freezerEnded` follows then.
    case handOverFailed(WorkID, reason: String)
    /// The answer to `flush`, once for each filesystem.
    case flushed(WorkID, DeviceNumber, TimedResult)
    case memoryRead(DirtyMemory)
    /// The record of a request is in the history, or cannot be written.
    case recorded
    /// Once for each `publish`. Without `isDone` the publication is retried.
    case publicationEnded(isDone: Bool)
    /// The pause after a failed publication is over.
    case publicationDue
    case writeHoldersFound(WorkID, [WriteHolder])
    /// `allFrozen`: every word of the ledger says "frozen by this freezer". Only after `verify`.
    case mountsChecked(WorkID, change: String?, allFrozen: Bool)
    case hookFinished(WorkID, HookRun)
    /// A held session hook of the request has ended: after the release, or too early.
    case sessionEnded(index: Int, HookRun)

    // From the freezer
    /// The freezer is ready for a request.
    case freezerReady
    /// The freezer has the ledger and every descriptor.
    case freezerPrepared
    /// The freezer has refused the ledger or the descriptors.
    case freezerRefused(Errno)
    /// The freezer's process or connection has ended: once for each `startFreezer`, also if the start failed, and after
    /// `killFreezer` and `takeOverThaw`.
    /// `isByForce`: by the ledger, `quiescectl recover --force` has ended the request and killed the freezer.
    case freezerEnded(how: String, isByForce: Bool = false)
    /// The pause before a successor is over.
    case freezerDue
    /// Answer to `thaw`: the freezer was killed, and cannot exit because FIFREEZE hangs.
    case freezerHangs
    case froze(Int, TimedResult)
    case freezerThaws(ThawCause)
    /// ECANCELED: another guard has taken over the superblock, and reports the thaw.
    case thawed(Int, TimedResult)
    /// Every superblock is thawed, but for those with a hanging FIFREEZE.
    case thawFinished

    /// The moment of `nextDeadline` has come.
    case timePassed(DeadlineFindings = .none)
    case shutdown(reason: String)
}
