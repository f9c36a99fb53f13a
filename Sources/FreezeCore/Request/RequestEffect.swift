/// What the request state machine wants done. The driver does it, in order, and never waits for it.
public enum RequestEffect: Hashable, Sendable {
    /// Thaw what an earlier life left, and end its expedited RCU grace periods. Answered by `recovered`.
    case recover
    /// Start the freezer; after an earlier one has ended, after a pause. Answered by `freezerReady` or `freezerEnded`.
    case startFreezer
    /// End the freezer, which does not answer. Its end is reported by `freezerEnded`.
    case killFreezer
    /// From now on requests may come.
    case openChannels
    /// Look now, at HOT_BACKUP, for what would make a FREEZE fail, and log it.
    case assess(isFreezerReady: Bool)
    /// A request begins: plan, open every filesystem, list the hooks. Answered by `opened` or `openingFailed`.
    case open(WorkID, RequestID, ChannelID, FreezeOptions)
    /// The same again, for the same request. The first list of hooks stays: indices and the ledger's progress of hooks
    /// belong to it.
    case openAgain(WorkID)
    /// Write the ledger, and give it to the freezer with the descriptors of the filesystems to freeze. Answered by
    /// `freezerPrepared`, `freezerRefused` or `handOverFailed`.
    case handOver(WorkID)
    /// Have the freezer let go of what it was handed.
    case withdraw
    case flush(WorkID, [PlannedFilesystem])
    /// Read what is unwritten. Answered by `memoryRead`, if it can be read.
    case readMemory
    /// Search for tasks that sleep inside a write to one of these filesystems. Answered by `writeHoldersFound`.
    case findWriteHolders(WorkID, [PlannedFilesystem])
    /// Compare the mount tables of all namespaces with the plan, and look for the ledger. Answered by `mountsChecked`.
    case checkMounts(WorkID)
    /// Compare the mount tables that are open with the plan, if one has changed: quick, and sees no new namespace. Answered
    /// by `mountsChecked`.
    case pollMounts(WorkID)
    /// All is frozen: the same, after a look into the ledger, and into the write counters that `WindowFindings` is based
    /// on.
    case verify(WorkID)
    case runHook(WorkID, index: Int, HookPhase, succeeded: Bool, level: ConsistencyLevel?, timeout: Duration)
    /// Start a session hook. Answered by `hookFinished` with the outcome `ready`, and later by `sessionEnded`; or by
    /// `hookFinished` with what went wrong.
    case startSession(WorkID, index: Int, timeout: Duration)
    /// Let go of all session hooks that are held, at once. Each answers with `sessionEnded`.
    case releaseSessions(timeout: Duration)
    /// Call a hook for thaw, by name, whose freeze call was made by the previous instance. `outcome` is nil if the
    /// request failed.
    case runLeftoverHook(
        WorkID, name: String, RequestID, ChannelID, outcome: WindowOutcome?, timeout: Duration)
    /// End the hook that runs, which answers with `hookFinished`.
    case cancelHook
    /// Have the kernel expedite RCU grace periods, or no longer. The ledger notes it, for whoever recovers after a crash.
    case expediteRCU(Bool)
    case freeze(step: Int, freezeDeadline: Moment, windowDeadline: Moment)
    case thaw
    /// The freezer is dead or silent: kill it and thaw what it left.
    case takeOverThaw
    case answer(ChannelID, OperationID, OperationAnswer, AnswerDetail)
    /// Channels may open their devices again.
    case reopenChannels
    /// Keep the outcome in the ledger, for a restart before the last thaw hook has ended. THAW was answered with success.
    case keepOutcome(WindowOutcome)
    /// Keep this, in place of what was kept, for `status`, `check` and the next life.
    case keepAttention([Attention])
    case note(LogNote)
    /// For whoever watches.
    case progress(RequestProgress)
    case record(RequestRecord)
    /// The request is over: close its descriptors, remove its ledger.
    case release
    case exit
}
