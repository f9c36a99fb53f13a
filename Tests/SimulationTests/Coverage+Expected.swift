import FreezeCore
import Testing

extension Coverage {
    /// Every way out of every state, read from the state machine: what it says of a request (`RequestMachine`'s
    /// diagram), and where a failure, a dry run, and the end of the daemon lead.
    static let waysOut: [RequestState: Set<RequestState>] = [
        .recovering: [.idle],
        // A request; what a crash or a hanging FIFREEZE leaves to be done; SIGTERM.
        .idle: [.planning, .thawHooks, .stopped],
        // With hooks to run; with the mount table changed after they ran; with hooks only; in a dry run; failed.
        .planning: [.flushing, .flushingAgain, .freezeHooks, .rehearsing, .thawHooks],
        .flushing: [.freezeHooks, .thawHooks],
        // The last two for another agent, which flushes by itself.
        .freezeHooks: [.flushingAgain, .thawHooks, .sessionHooks, .holding],
        .flushingAgain: [.checking, .thawHooks],
        // With session hooks to start, or without.
        .checking: [.sessionHooks, .freezing, .planning, .thawHooks],
        // From the first session hook on what it holds is let go of.
        .sessionHooks: [.flushingLast, .releasing, .thawHooks, .holding],
        .flushingLast: [.freezing, .releasing, .thawHooks],
        // From the first FIFREEZE on there is no way around the thaw.
        .freezing: [.verifying, .thawing],
        .verifying: [.frozen, .thawing],
        .frozen: [.thawing],
        .rehearsing: [.thawHooks],
        .holding: [.releasing, .thawHooks],
        .thawing: [.releasing, .thawHooks],
        .releasing: [.thawHooks],
        .thawHooks: [.idle],
        .stopped: [],
    ]

    static let possible = Set(
        waysOut.flatMap { from, ways in ways.map { Transition(from: from, to: $0) } })

    /// What the schedules have gone through is what they should have: nothing less, and nothing else.
    func expectEverythingCameUp() {
        #expect(Set(Self.waysOut.keys) == Set(RequestState.allCases))
        #expect(seen.subtracting(Self.possible) == [], "transitions that should not be possible")
        for transition in Self.possible {
            #expect(count(transition) > 20, "\(transition) hardly ever came up")
        }
        for milestone in Milestone.allCases {
            #expect(count(milestone) > 20, "\(milestone) hardly ever came up")
        }
        for (place, count) in freezeErrors.enumerated() {
            #expect(count > 20, "FIFREEZE hardly ever failed with errno \(place) of the list")
        }
        for state in RequestState.allCases where state != .stopped {
            for intrusion in Intrusion.allCases {
                #expect(count(intrusion, in: state) > 5, "\(intrusion) hardly ever came in \(state)")
            }
        }
    }
}
