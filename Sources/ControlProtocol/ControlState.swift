import FreezeCore

/// The request state as it is sent; `RequestState` has the words for people.
public enum ControlState: String, Codable, Hashable, Sendable, CaseIterable {
    case recovering
    case idle
    case planning
    case flushing
    case freezeHooks = "freeze_hooks"
    case flushingAgain = "flushing_again"
    case checking
    case sessionHooks = "session_hooks"
    case flushingLast = "flushing_last"
    case freezing
    case verifying
    case frozen
    case rehearsing
    case holding
    case thawing
    case releasing
    case thawHooks = "thaw_hooks"
    case stopped

    public init(_ state: RequestState) {
        self =
            switch state {
            case .recovering: .recovering
            case .idle: .idle
            case .planning: .planning
            case .flushing: .flushing
            case .freezeHooks: .freezeHooks
            case .flushingAgain: .flushingAgain
            case .checking: .checking
            case .sessionHooks: .sessionHooks
            case .flushingLast: .flushingLast
            case .freezing: .freezing
            case .verifying: .verifying
            case .frozen: .frozen
            case .rehearsing: .rehearsing
            case .holding: .holding
            case .thawing: .thawing
            case .releasing: .releasing
            case .thawHooks: .thawHooks
            case .stopped: .stopped
            }
    }

    /// For people.
    public var words: String {
        switch self {
        case .freezeHooks: RequestState.freezeHooks.rawValue
        case .flushingAgain: RequestState.flushingAgain.rawValue
        case .sessionHooks: RequestState.sessionHooks.rawValue
        case .flushingLast: RequestState.flushingLast.rawValue
        case .holding: RequestState.holding.rawValue
        case .releasing: RequestState.releasing.rawValue
        case .thawHooks: RequestState.thawHooks.rawValue
        default: rawValue
        }
    }
}
