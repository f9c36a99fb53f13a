import FreezeCore

/// What schedules went through, so that a generator that has become too tame is noticed.
struct Coverage {
    enum Milestone: Int, CaseIterable {
        case hotBackup, frozen, held, thawed, freezeFailed, thawFailed, harmlessThaw, thawOfNothing,
            thawUndelivered, secondFreezeIsError, thawOverdue, refused,
            startedAnew
        case secondStep, replanned, servedAfterWaiting, cancelledWhileWaiting
        case tookOver, stuck, lost, frozenByForeigner, thawedByForeigner
        case sessionsReleased, sessionLostEarly, sessionLostInWindow, sessionLostFrozen, sessionFailedAtRelease
        case crash, recovered, recoveredStuck, thawHookRetried
        case crashWhileStuck, freezerDiedWhileStuck, shutdownWhileStuck
        case busyWithOwn, busyWithForeign, notOwner, nothingFrozen
        case forcedThaw, forceRefused, lostByForce, holdLostFrozen, holdLostThawing
        case rehearsed, rehearsalThawed, rehearsalRefused
        // The kernel, and others who use it.
        case foreignThawWhileWriting, foreignThawWhileFlushing, foreignTakenForOurs, writtenInWindow,
            mountedInWindow
        case guardWhileWriting, guardWhileFlushing
        case driverGaveUp, answerDropped, overtaken, suspended, suspendedFrozen
        case daemonStopped, daemonStoppedFrozen
        // A user asleep inside a write.
        case heldWriterRefused, holderOfStuckFound
        // The freezer, before and between requests.
        case freezerAwaited, freezerNeverReady, handedToSuccessor, freezerReplaced, freezerHung, freezerRefused
        // Hooks without work, and hooks that fail at thaw.
        case onlySkipped, attentionEnded
        // A FIFREEZE that was given up, and returned when others were thawed.
        case lateFreezeExplained
        // The publication of the state.
        case publicationCancelled, publicationFailed, publicationHungFrozen
    }

    /// What comes from outside, at any moment.
    enum Intrusion: Int, CaseIterable {
        case hotBackup, freeze, thaw, channelLost, freezerEnded, recoveredByForce, shutdown
    }

    /// From one state to another.
    struct Transition: Hashable, CustomStringConvertible {
        let from: RequestState
        let to: RequestState

        var description: String { "\(from) → \(to)" }
    }

    private(set) var milestones = Array(repeating: 0, count: Milestone.allCases.count)
    private(set) var transitions = Array(repeating: 0, count: stateCount * stateCount)
    private(set) var intrusions = Array(repeating: 0, count: stateCount * Intrusion.allCases.count)
    /// How often FIFREEZE failed, by errno.
    var freezeErrors = Array(repeating: 0, count: Simulation.freezeErrorCount)
    private(set) var events = 0
    /// When the last request was over.
    var lastRecord: Int64 = 0

    private static let states = RequestState.allCases
    private static let stateCount = RequestState.allCases.count

    mutating func note(_ milestone: Milestone) {
        milestones[milestone.rawValue] += 1
    }

    mutating func noteTransition(from: RequestState, to: RequestState) {
        transitions[Self.place(of: from) * Self.stateCount + Self.place(of: to)] += 1
    }

    mutating func note(_ event: RequestEvent, in state: RequestState) {
        events += 1
        guard let intrusion = Intrusion(event) else { return }
        intrusions[Self.place(of: state) * Intrusion.allCases.count + intrusion.rawValue] += 1
    }

    mutating func add(_ other: Coverage) {
        events += other.events
        Self.add(other.milestones, to: &milestones)
        Self.add(other.transitions, to: &transitions)
        Self.add(other.intrusions, to: &intrusions)
        Self.add(other.freezeErrors, to: &freezeErrors)
    }

    private static func add(_ others: [Int], to counts: inout [Int]) {
        for index in counts.indices { counts[index] += others[index] }
    }

    func count(_ milestone: Milestone) -> Int { milestones[milestone.rawValue] }

    func count(_ intrusion: Intrusion, in state: RequestState) -> Int {
        intrusions[Self.place(of: state) * Intrusion.allCases.count + intrusion.rawValue]
    }

    func count(_ transition: Transition) -> Int {
        transitions[Self.place(of: transition.from) * Self.stateCount + Self.place(of: transition.to)]
    }

    /// Every transition that came up.
    var seen: Set<Transition> {
        var seen: Set<Transition> = []
        for from in Self.states {
            for to in Self.states where count(Transition(from: from, to: to)) > 0 {
                seen.insert(Transition(from: from, to: to))
            }
        }
        return seen
    }

    private static func place(of state: RequestState) -> Int {
        switch state {
        case .recovering: 0
        case .idle: 1
        case .planning: 2
        case .flushing: 3
        case .freezeHooks: 4
        case .flushingAgain: 5
        case .checking: 6
        case .sessionHooks: 7
        case .flushingLast: 8
        case .freezing: 9
        case .verifying: 10
        case .frozen: 11
        case .rehearsing: 12
        case .thawing: 13
        case .releasing: 14
        case .thawHooks: 15
        case .stopped: 16
        case .holding: 17
        }
    }
}

extension Coverage.Intrusion {
    init?(_ event: RequestEvent) {
        switch event {
        case .hotBackup: self = .hotBackup
        case .freeze: self = .freeze
        case .thaw: self = .thaw
        case .channelLost: self = .channelLost
        case .freezerEnded(_, let isByForce): self = isByForce ? .recoveredByForce : .freezerEnded
        case .shutdown: self = .shutdown
        default: return nil
        }
    }
}
