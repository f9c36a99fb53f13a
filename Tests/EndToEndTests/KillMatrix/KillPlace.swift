import Channels
import FreezeCore

/// A place of a request at which the daemon or the freezer can be stopped.
struct KillPlace: Sendable, CustomStringConvertible {
    enum Stopped: Sendable { case daemon, freezer }

    let stopped: Stopped
    /// As the code names it.
    let point: String
    /// What the host has sent, and waits for.
    let operation: HyperVOperation

    var description: String { point }

    /// Whether something is, or may be, frozen.
    var isInWindow: Bool {
        stopped == .freezer || [.freezing, .verifying, .frozen, .thawing].contains(state)
    }

    /// The daemon's, after the first word of the point.
    private var state: RequestState? { RequestState(rawValue: String(point.drop { $0 != " " }.dropFirst())) }

    /// How many filesystems are frozen, on two steps: `KillScene` makes them.
    static let superblocks = 4

    /// Both when a state is decided on and nothing is done about it yet, and when everything is begun.
    private static func daemon(_ states: [RequestState], _ operation: HyperVOperation) -> [KillPlace] {
        states.flatMap { state in
            ["entering", "in"].map {
                KillPlace(stopped: .daemon, point: "\($0) \(state.rawValue)", operation: operation)
            }
        }
    }

    private static func freezer(_ points: [String], _ operation: HyperVOperation) -> [KillPlace] {
        points.map { KillPlace(stopped: .freezer, point: $0, operation: operation) }
    }

    /// Between any two system calls on superblocks, before the first and after the last.
    private static let turns = 1...superblocks

    static let preparing =
        daemon(
            [.planning, .flushing, .freezeHooks, .flushingAgain, .checking, .sessionHooks, .flushingLast], .freeze)
        + [KillPlace(stopped: .daemon, point: "before the ledger", operation: .freeze)]
    static let freezing =
        daemon([.freezing, .verifying, .frozen], .freeze)
        + freezer(turns.flatMap { ["before FIFREEZE \($0)", "after FIFREEZE \($0)"] }, .freeze)
    static let thawing =
        daemon([.thawing, .releasing, .thawHooks, .idle], .thaw)
        + freezer(turns.map { "before FITHAW \($0)" } + ["after a FITHAW"], .thaw)
    static let all = preparing + freezing + thawing
    /// A place in each state, and in the middle of the freezer's work.
    static let ofEachState =
        all.filter { $0.point.hasPrefix("in ") }
        + at(["before the ledger", "after FIFREEZE 2", "before FITHAW 2"])

    static func at(_ points: [String]) -> [KillPlace] {
        points.flatMap { point in all.filter { $0.point == point } }
    }
}

/// What is done to whom.
enum KillInjury: String, CaseIterable, Sendable, CustomStringConvertible {
    case killsDaemon = "SIGKILL daemon"
    case killsFreezer = "SIGKILL freezer"
    case killsBoth = "SIGKILL both"
    case terminates = "SIGTERM daemon"
    case hangsUp = "SIGHUP daemon"
    /// Whoever was stopped stays so for longer than a window may last.
    case standsStill = "SIGSTOP beyond the window"

    var description: String { rawValue }

    /// Where it is tried: an orderly end is decided by the daemon alone, and who stands still does harm in the window only.
    var places: [KillPlace] {
        switch self {
        case .killsDaemon, .killsFreezer, .killsBoth: KillPlace.all
        case .terminates, .hangsUp: KillPlace.all.filter { $0.stopped == .daemon && $0.point.hasPrefix("in ") }
        case .standsStill:
            KillPlace.all.filter { $0.isInWindow && ($0.stopped == .daemon || $0.point.hasSuffix(" 2")) }
        }
    }

    var endsDaemon: Bool { self != .killsFreezer && self != .standsStill }
}
