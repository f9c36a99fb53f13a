import FreezeCore

/// What schedules went through, so that a generator that has become too tame is noticed.
struct Coverage {
    enum Milestone: Int, CaseIterable {
        case hotBackup, frozen, thawed, freezeFailed, thawFailed, harmlessThaw, refused, startedAnew
        case secondLevel, replanned, servedAfterWaiting
        case tookOver, stuck, lost, frozenByForeigner, thawedByForeigner
        case crash, recovered, recoveredStuck, thawHookRetried
        case busyWithOwn, busyWithForeign, notOwner, nothingFrozen
        case forcedThaw, lostByForce, holdLostFrozen, holdLostThawing
        case rehearsed, rehearsalThawed, rehearsalRefused
    }

    private(set) var milestones = Array(repeating: 0, count: Milestone.allCases.count)
    private(set) var transitions = Array(repeating: 0, count: stateCount * stateCount)
    var events = 0
    /// When the last request was over.
    var lastRecord: Int64 = 0

    private static let states = RequestState.allCases
    private static let stateCount = RequestState.allCases.count

    mutating func note(_ milestone: Milestone) {
        milestones[milestone.rawValue] += 1
    }

    mutating func noteTransition(from: RequestState, to: RequestState) {
        events += 1
        guard from != to else { return }
        let states = Self.states
        guard let first = states.firstIndex(of: from), let second = states.firstIndex(of: to) else { return }
        transitions[first * states.count + second] += 1
    }

    mutating func add(_ other: Coverage) {
        events += other.events
        for index in milestones.indices { milestones[index] += other.milestones[index] }
        for index in transitions.indices { transitions[index] += other.transitions[index] }
    }

    func count(_ milestone: Milestone) -> Int { milestones[milestone.rawValue] }

    func count(from: RequestState, to: RequestState) -> Int {
        guard let first = Self.states.firstIndex(of: from), let second = Self.states.firstIndex(of: to) else {
            return 0
        }
        return transitions[first * Self.states.count + second]
    }

    var visited: Set<RequestState> {
        var visited: Set<RequestState> = [.recovering]
        for (index, count) in transitions.enumerated() where count > 0 {
            visited.insert(Self.states[index % Self.states.count])
        }
        return visited
    }
}
