import SystemPackage

/// What happens to the request state machine.
///
/// Indices count the filesystems to freeze in the plan's order, and the hooks in theirs.
public enum RequestEvent: Hashable, Sendable {
    // From the driver's start
    /// What an earlier life left is thawed; nil if there was nothing.
    case recovered(Leftover?)
    /// A FIFREEZE of an earlier life has returned and was thawed.
    case leftoverSettled(FilePath)
    /// What earlier instances have kept for an admin.
    case attentionRecalled([Attention])

    // From channels
    /// The host can reach the channel. `isStandIn` if the device is not the kernel's: its requests are rehearsals.
    case registered(ChannelID, isStandIn: Bool)
    case hotBackup(ChannelID, OperationID)
    case freeze(ChannelID, OperationID, RequestID, FreezeOptions = FreezeOptions())
    /// With what was found before, if `RequestMachine.endsWindow` says that the THAW ends a window.
    case thaw(ChannelID, OperationID, ThawWish = .own, WindowFindings = .none)
    case channelLost(ChannelID, reason: String)
    /// An admin has seen what needs attention.
    case acknowledge(ChannelID, OperationID)

    // Answers to effects
    /// The plan is made, and every filesystem of it is open.
    case opened(WorkID, PlannedRequest)
    /// The last is the filesystem to blame, if one is.
    case openingFailed(WorkID, reason: String, plan: FreezePlan?, FilePath? = nil)
    /// The ledger could not be made, or the freezer not be sent it. Not reported if the freezer has ended: then
    /// `freezerEnded` follows.
    case handOverFailed(WorkID, reason: String)
    case flushed(WorkID, FlushResult)
    case flushFinished(WorkID)
    case memoryRead(DirtyMemory)
    case writeHoldersFound(WorkID, [WriteHolder])
    /// `allFrozen`: every word of the ledger says frozen, by the freezer. Only after `verify`.
    case mountsChecked(WorkID, change: String?, allFrozen: Bool)
    case hookFinished(WorkID, HookRun)
    /// A session hook of this request that was ready has ended: released, or too early.
    case sessionEnded(index: Int, HookRun)

    // From the freezer
    /// It can take a request.
    case freezerReady
    /// It has the ledger and every descriptor that it was handed.
    case freezerPrepared
    /// It could not take what it was handed.
    case freezerRefused(Errno)
    /// Its process or its connection has ended: reported once for each process that `startFreezer` has started or could
    /// not start, also after `killFreezer` and `takeOverThaw`.
    /// `isByForce`: the ledger says that `quiescectl recover --force` has ended the request, and so killed the freezer.
    case freezerEnded(how: String, isByForce: Bool = false)
    /// Answer to `thaw`: it was killed, and cannot end because its FIFREEZE hangs.
    case freezerHangs
    case froze(Int, TimedResult)
    case freezerThaws(ThawCause)
    /// ECANCELED: another guard had taken the superblock over, and reports it.
    case thawed(Int, TimedResult)
    /// Whatever could be thawed is; superblocks whose FIFREEZE hangs are still to come.
    case thawFinished

    /// A moment given by `nextDeadline` has come.
    case timePassed(DeadlineFindings = .none)
    case shutdown(reason: String)
}
