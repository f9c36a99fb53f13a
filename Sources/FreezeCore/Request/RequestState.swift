/// Where the coordinator is; shown by `status`.
public enum RequestState: String, Sendable, Hashable, CaseIterable {
    /// Thawing filesystems that the previous instance left frozen. Requests are refused.
    case recovering
    case idle
    case planning
    case flushing
    case freezeHooks = "running freeze hooks"
    case flushingAgain = "flushing again"
    /// Looking whether the mount table is still the planned one.
    case checking
    /// Session hooks take what they hold until the end of the window.
    case sessionHooks = "starting session hooks"
    /// Flushing what was written since, while the session hooks hold.
    case flushingLast = "flushing under session hooks"
    case freezing
    /// All frozen; looking whether the mount table is still the planned one, before FREEZE is answered.
    case verifying
    case frozen
    /// A dry run that has answered FREEZE: nothing is frozen, and THAW is awaited.
    case rehearsing
    /// Hooks hold their applications, and another agent freezes: quiesced has frozen nothing, and THAW is awaited.
    case holding = "holding for another agent"
    case thawing
    /// Everything is thawed; session hooks let go of what they hold, before THAW is answered.
    case releasing = "releasing session hooks"
    case thawHooks = "running thaw hooks"
    case stopped
}

/// What the next THAW of a channel is answered with when no request of it is frozen.
enum ThawDebt: Hashable, Sendable {
    /// FREEZE was answered with failure: the THAW that follows ends nothing and harms nothing.
    case harmless
    /// The window ended early: what the host took may be torn. Shown as LOST.
    case lost(reason: String)
}
