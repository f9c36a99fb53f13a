import FreezeCore
import SystemPackage

/// The ledger's word of one superblock.
enum SimulatedWord: Equatable {
    case planned
    case freezing
    case frozen
    case thawing(byFreezer: Bool)
    case thawed
    case refused

    var isSettled: Bool { self == .planned || self == .thawed || self == .refused }
}

/// What is on the tmpfs: it outlives every process.
struct SimulatedLedger {
    let id: RequestID
    let channel: ChannelID
    let options: FreezeOptions
    let freezer: Int
    /// In the plan's order; indices of the world's superblocks.
    let superblocks: [Int]
    var words: [SimulatedWord]
    let hooks: [PlannedHook]
    /// Started and not called for thaw to the end, in freeze order.
    var owedHooks: [PlannedHook] = []
    var expeditesRCU = false
    var isEndedByForce = false
    /// Once THAW has been answered with success.
    var outcome: WindowOutcome?
}

/// One process that freezes, with one request: `FreezerService`, `FreezerRequest` and `FreezeTarget`.
struct SimulatedFreezer {
    enum Phase: Equatable {
        case waiting
        case freezing
        case freezingUnwanted
        case frozen
        case thawing
        case settled
    }

    enum Order {
        case freeze(step: Int, freezeDeadline: Moment, windowDeadline: Moment)
        case thaw
    }

    let process: Int
    var isAlive = true
    /// The daemon was told that it has every descriptor.
    var hasConfirmed = false
    /// Stopped: it takes no orders and its timer does nothing.
    var isSilent = false
    /// Its daemon is gone.
    var isOrphaned = false
    var phases: [Phase]
    let steps: [Int]
    var freezeDeadline: Int64?
    var windowDeadline: Int64?
    var remainingSteps: [Int]?
    var currentStep: Int?
    var since: Int64 = 0
    var isThawFinished = false
    /// When the last report and the last order arrive: both ways keep their order.
    var lastReport: Int64 = 0
    var lastOrder: Int64 = 0

    init(process: Int, steps: [Int]) {
        self.process = process
        self.steps = steps
        phases = Array(repeating: .waiting, count: steps.count)
    }

    var acts: Bool { isAlive && !isSilent }
    var isEveryTargetFrozen: Bool { phases.allSatisfy { $0 == .frozen } }

    func isThawing(step: Int) -> Bool {
        phases.indices.contains { steps[$0] == step && phases[$0] == .thawing }
    }

    /// When `advance` is due although nothing happened.
    var nextDeadline: Int64? {
        if remainingSteps != nil {
            if isThawFinished { return nil }
            return currentStep == nil ? since : since + 1_000_000_000
        }
        if isEveryTargetFrozen { return windowDeadline }
        guard let freezeDeadline, let windowDeadline else { return nil }
        return min(freezeDeadline, windowDeadline)
    }
}

extension Simulation {
    // MARK: Orders and reports

    func order(_ order: SimulatedFreezer.Order) {
        guard let id = currentFreezer, freezers[id].isAlive else { return }
        let arrival = max(freezers[id].lastOrder, now + random.milliseconds(0, 3))
        freezers[id].lastOrder = arrival
        schedule(at: arrival, .order(order, freezer: id))
    }

    func report(_ event: RequestEvent, from id: Int) {
        guard !freezers[id].isOrphaned else { return }
        let arrival = max(
            freezers[id].lastReport, now + random.milliseconds(0, faults.contains(.freezerDies) ? 40 : 3))
        freezers[id].lastReport = arrival
        schedule(at: arrival, .report(event, freezer: id))
    }

    func obey(_ order: SimulatedFreezer.Order, freezer id: Int) {
        guard freezers[id].acts else { return }
        switch order {
        case .thaw:
            beginFreezerThaw(id, cause: nil)
        case .freeze(let step, let freezeDeadline, let windowDeadline):
            freeze(step, freezeDeadline, windowDeadline, freezer: id)
        }
        advanceFreezer(id)
    }

    private func freeze(_ step: Int, _ freezeDeadline: Moment, _ windowDeadline: Moment, freezer id: Int) {
        guard freezers[id].remainingSteps == nil else {
            // It had given up before the order came: what it never began it says so about.
            for index in freezers[id].steps.indices where freezers[id].steps[index] == step {
                report(.froze(index, result(.canceled)), from: id)
            }
            return
        }
        freezers[id].freezeDeadline = freezeDeadline.nanoseconds
        freezers[id].windowDeadline = windowDeadline.nanoseconds
        for index in freezers[id].steps.indices
        where freezers[id].steps[index] == step && freezers[id].phases[index] == .waiting {
            issueFreeze(index, freezer: id)
        }
    }

    // MARK: FIFREEZE

    private func issueFreeze(_ index: Int, freezer id: Int) {
        guard ledger?.freezer == id, let superblock = ledger?.superblocks[index], ledger?.words[index] == .planned
        else {
            return report(.froze(index, result(.canceled)), from: id)
        }
        if superblocks[superblock].inFlight != nil {
            violate("STUCK", "FIFREEZE of \(superblock) while an earlier one hangs")
        }
        ledger?.words[index] = .freezing
        freezers[id].phases[index] = .freezing
        superblocks[superblock].inFlight = id
        var delay = random.milliseconds(0, 30)
        if faults.contains(.freezeHangs), random.oneIn(4) {
            let limit = (freezers[id].freezeDeadline ?? now) - now
            // About the deadline, or long after it.
            delay = random.oneIn(2) ? max(0, limit + random.milliseconds(0, 12) - 6_000_000) : hangs(11, 200)
        }
        delay = max(delay, writeIsOver(on: superblock) - now)
        beginFreeze(superblock, for: delay)
        schedule(at: now + delay, .freezeReturns(freezer: id, index: index, superblock: superblock))
    }

    func freezeReturns(_ index: Int, superblock: Int, freezer id: Int) {
        superblocks[superblock].inFlight = nil
        let error = endFreeze(superblock)
        guard freezers[id].acts else { return guardLooks() }
        guard error == nil else {
            ledger?.words[index] = .refused
            freezers[id].phases[index] = .settled
            report(.froze(index, result(error)), from: id)
            return advanceFreezer(id)
        }
        ledger?.words[index] = .frozen
        let isUnwanted = freezers[id].phases[index] == .freezingUnwanted
        freezers[id].phases[index] = isUnwanted ? .thawing : .frozen
        report(.froze(index, result(nil)), from: id)
        if isUnwanted { issueThaw(index, freezer: id) }
        advanceFreezer(id)
    }

    // MARK: FITHAW

    func beginFreezerThaw(_ id: Int, cause: ThawCause?) {
        guard freezers[id].remainingSteps == nil else { return }
        if let cause { report(.freezerThaws(cause), from: id) }
        freezers[id].remainingSteps = Array(Set(freezers[id].steps)).sorted()
        freezers[id].since = now
        for index in freezers[id].phases.indices
        where freezers[id].phases[index] == .waiting || freezers[id].phases[index] == .freezing {
            thawTarget(index, freezer: id)
        }
    }

    private func thawTarget(_ index: Int, freezer id: Int) {
        switch freezers[id].phases[index] {
        case .waiting: freezers[id].phases[index] = .settled
        case .freezing: freezers[id].phases[index] = .freezingUnwanted
        case .frozen:
            freezers[id].phases[index] = .thawing
            issueThaw(index, freezer: id)
        case .freezingUnwanted, .thawing, .settled: break
        }
    }

    private func issueThaw(_ index: Int, freezer id: Int) {
        guard ledger?.freezer == id, let superblock = ledger?.superblocks[index], ledger?.words[index] == .frozen
        else {
            freezers[id].phases[index] = .settled
            return report(.thawed(index, result(.canceled)), from: id)
        }
        ledger?.words[index] = .thawing(byFreezer: true)
        superblocks[superblock].inFlight = id
        schedule(at: now + thawDelay(), .thawReturns(freezer: id, index: index, superblock: superblock))
    }

    /// Long if FITHAW hangs; then P1 waits for it too.
    func thawDelay() -> Int64 {
        guard faults.contains(.thawTrouble), random.oneIn(5) else { return random.milliseconds(0, 5) }
        let delay = hangs(1, 30)
        prolongLimits(by: delay)
        return delay
    }

    func thawReturns(_ index: Int, superblock: Int, freezer id: Int) {
        superblocks[superblock].inFlight = nil
        if faults.contains(.thawTrouble), freezers[id].acts, random.oneIn(6) {
            prolongLimits(by: 1_000_000_000)
            report(.thawed(index, result(.ioError)), from: id)
            superblocks[superblock].inFlight = id
            let pause = random.milliseconds(10, 1000)
            return schedule(at: now + pause, .thawReturns(freezer: id, index: index, superblock: superblock))
        }
        let error = thawSuperblock(superblock)
        guard freezers[id].acts else { return guardLooks() }
        ledger?.words[index] = .thawed
        freezers[id].phases[index] = .settled
        report(.thawed(index, result(error)), from: id)
        advanceFreezer(id)
    }

    // MARK: Time

    func advanceFreezer(_ id: Int) {
        guard freezers[id].acts else { return }
        expire(id)
        guard freezers[id].remainingSteps != nil, !freezers[id].isThawFinished else { return wakeFreezer(id) }
        while true {
            if let current = freezers[id].currentStep, now - freezers[id].since < 1_000_000_000,
                freezers[id].isThawing(step: current)
            {
                break
            }
            guard let next = freezers[id].remainingSteps?.popLast() else {
                freezers[id].isThawFinished = true
                report(.thawFinished, from: id)
                break
            }
            for index in freezers[id].steps.indices where freezers[id].steps[index] == next {
                thawTarget(index, freezer: id)
            }
            freezers[id].currentStep = next
            freezers[id].since = now
        }
        wakeFreezer(id)
    }

    private func expire(_ id: Int) {
        guard freezers[id].remainingSteps == nil else { return }
        if let deadline = freezers[id].windowDeadline, now >= deadline {
            beginFreezerThaw(id, cause: .windowDeadline)
        } else if let deadline = freezers[id].freezeDeadline, now >= deadline, !freezers[id].isEveryTargetFrozen {
            beginFreezerThaw(id, cause: .freezeDeadline)
        }
    }

    private func wakeFreezer(_ id: Int) {
        if let deadline = freezers[id].nextDeadline { schedule(at: deadline, .freezerWakes(id)) }
    }
}
