/// The effects of the request state machine. The driver carries them out in order, and never waits.
public enum RequestEffect: Hashable, Sendable {
    /// Thaw the filesystems of the previous instance, and end expedited RCU grace periods. Answered by `recovered`.
    case recover
    /// Start the freezer. Answered by `freezerReady` or `freezerEnded`.
    case startFreezer
    /// The freezer has ended: a successor starts after a pause. Answered by `freezerDue`.
    case pauseBeforeFreezer
    /// Kill the freezer, which does not answer. Answered by `freezerEnded`.
    case killFreezer
    /// Requests can come.
    case openChannels
    /// At HOT_BACKUP: log the reasons for which a FREEZE would fail.
    case assess(isFreezerReady: Bool)
    /// A request begins: plan, open every filesystem, list the hooks. Answered by `opened` or `openingFailed`.
    case open(WorkID, RequestID, ChannelID, FreezeOptions)
    /// Plan the same request again. The first list of hooks stays, for the indices and the progress in the ledger refer
    /// to the list.
    case openAgain(WorkID)
    /// Write the ledger, and give it to the freezer with the descriptors of the filesystems to freeze. Answered by
    /// `freezerPrepared`, `freezerRefused` or `handOverFailed`.
    case handOver(WorkID)
    /// Have the freezer close its descriptors.
    case withdraw
    case flush(WorkID, [PlannedFilesystem])
    /// Read the size of dirty memory. Answered by `memoryRead`, unless reading fails.
    case readMemory
    /// Search for tasks that sleep inside a write to one of these filesystems. Answered by `writeHoldersFound`.
    case findWriteHolders(WorkID, [PlannedFilesystem])
    /// Compare the mount tables of all namespaces with the plan, and look for the ledger. Answered by `mountsChecked`.
    case checkMounts(WorkID)
    /// Compare the mount tables that are open with the plan, if one has changed: quick, and sees no new namespace. Answered
    /// by `mountsChecked`.
    case pollMounts(WorkID)
    /// Everything is frozen: also read the ledger, and the write counters as a base for `WindowFindings`.
    case verify(WorkID)
    case runHook(WorkID, index: Int, HookPhase, succeeded: Bool, level: ConsistencyLevel?, timeout: Duration)
    /// Start a session hook. Answered by `hookFinished` with the outcome `ready`, and later by `sessionEnded`; or by
    /// `hookFinished` with the failure.
    case startSession(WorkID, index: Int, timeout: Duration)
    /// Release all held session hooks, at once. Each answers with `sessionEnded`.
    case releaseSessions(timeout: Duration)
    /// Call a hook for thaw, by name, whose freeze call was made by the previous instance. `outcome` is nil if the
    /// request failed.
    case runLeftoverHook(
        WorkID, name: String, RequestID, ChannelID, outcome: WindowOutcome?, timeout: Duration)
    /// End the running hook, which answers with `hookFinished`.
    case cancelHook
    /// Turn expedited RCU grace periods on or off. Noted in the ledger, for the recovery after a crash.
    case expediteRCU(Bool)
    case freeze(step: Int, freezeDeadline: Moment, windowDeadline: Moment)
    case thaw
    /// Kill the dead or silent freezer, and thaw its filesystems.
    case takeOverThaw
    case answer(ChannelID, OperationID, OperationAnswer, AnswerDetail)
    /// Channels may open their devices again.
    case reopenChannels
    /// Keep the outcome in the ledger, for a restart before the last thaw hook has ended. THAW was answered with success.
    case keepOutcome(WindowOutcome)
    /// Replace the kept attention, for `status`, `check` and the next instance.
    case keepAttention([Attention])
    /// Replace the kept lost channels and reasons, for the next instance.
    case keepLost([ChannelID: String])
    case note(LogNote)
    /// For observers.
    case progress(RequestProgress)
    case record(RequestRecord)
    /// The request is over: close the descriptors, remove the ledger.
    case release
    /// Publish the state to the host. Answered by `publicationEnded`; with `isLast`, the daemon exits without waiting.
    case publish(isLast: Bool)
    /// A request begins: stop the publication before the next step of the publication.
    case cancelPublication
    /// The publication failed: wait before the retry. Answered by `publicationDue`.
    case pauseBeforePublication
    case exit
}
