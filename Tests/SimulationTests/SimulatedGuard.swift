import FreezeCore
import SystemPackage

/// The daemon in the freezer's place (`OrphanThaw`): after `takeOverThaw`, and at the start of the next instance.
struct SimulatedGuard {
    /// At the start of a life: `recovered` is still to be sent.
    var isRecovering: Bool
    /// Per superblock of the ledger.
    var isDone: [Bool]
    var isThawing: [Bool]
    /// What was written down last was what the freezer was about to do.
    var isUncertain: [Bool]
}

extension Simulation {
    func takeOver(isRecovering: Bool) {
        guard let ledger else { return }
        killFreezer(ledger.freezer)
        if process?.request == ledger.freezer { process?.isKilled = true }
        guard orphanThaw == nil else { return }
        let none = Array(repeating: false, count: ledger.words.count)
        orphanThaw = SimulatedGuard(isRecovering: isRecovering, isDone: none, isThawing: none, isUncertain: none)
        guardLooks()
    }

    /// Thaws what can be thawed now. Called whenever that may have changed.
    func guardLooks() {
        guard isDaemonUp, orphanThaw != nil, let ledger else { return }
        let isFreezerGone = !superblocks.contains { $0.inFlight == ledger.freezer }
        for (index, superblock) in ledger.superblocks.enumerated()
        where orphanThaw?.isDone[index] == false && orphanThaw?.isThawing[index] == false {
            if ledger.words[index].isSettled {
                guardIsDone(index, nil)
            } else if superblocks[superblock].inFlight != nil {
                // Its FITHAW is at it, or its FIFREEZE has not returned: a guard's FITHAW gives EINVAL, which is not
                // believed, or waits. Either way it comes when that returns, which is when this is called again.
                if let freezing = superblocks[superblock].freezing {
                    coverage.note(now < freezing.flushes ? .guardWhileWriting : .guardWhileFlushing)
                }
            } else if superblocks[superblock].holder != .nobody {
                orphanThaw?.isUncertain[index] = ledger.words[index] != .frozen
                self.ledger?.words[index] = .thawing(byFreezer: false)
                orphanThaw?.isThawing[index] = true
                schedule(at: now + thawDelay(), .guardThaws(index, life: life))
            } else if isFreezerGone {
                // EINVAL can be believed now: somebody else thawed it.
                guardIsDone(index, thawSuperblock(superblock))
            }
        }
        sendRecoveredIfAllIsDone()
    }

    /// Whether the daemon's FITHAW of a superblock is on its way.
    func isGuardThawing(_ superblock: Int) -> Bool {
        guard let orphanThaw, let index = ledger?.superblocks.firstIndex(of: superblock) else { return false }
        return orphanThaw.isThawing[index] && !orphanThaw.isDone[index]
    }

    func guardThaws(_ index: Int) {
        guard let superblock = ledger?.superblocks[index], let orphanThaw else { return }
        guardIsDone(index, thawSuperblock(superblock, isUncertain: orphanThaw.isUncertain[index]))
        sendRecoveredIfAllIsDone()
    }

    private func guardIsDone(_ index: Int, _ error: Errno?) {
        guard let guardian = orphanThaw, let superblock = ledger?.superblocks[index] else { return }
        if ledger?.words[index].isSettled == false { ledger?.words[index] = .thawed }
        orphanThaw?.isDone[index] = true
        if guardian.isRecovering { return }
        let event: RequestEvent =
            isLeftover
            ? .leftoverSettled(SimulatedWorld.mountPoints[superblock]) : .thawed(index, result(error))
        schedule(at: now + random.milliseconds(0, 3), .daemon(event, life: life))
    }

    // MARK: The next instance

    /// The daemon has begun, and there is a ledger: the freezer of the life before gets a moment to thaw by itself.
    func recover() {
        guard ledger != nil else {
            return schedule(at: now + random.milliseconds(0, 50), .daemon(.recovered(nil), life: life))
        }
        isLeftover = true
        schedule(at: now + random.milliseconds(0, 3000), .recoveryTakesOver(life: life))
    }

    func recoveryTakesOver() {
        if ledger?.expeditesRCU == true {
            isRCUExpedited = false
            ledger?.expeditesRCU = false
        }
        takeOver(isRecovering: true)
        schedule(at: now + 5_000_000_000, .recoveryEnds(life: life))
    }

    private func sendRecoveredIfAllIsDone() {
        if let orphanThaw, orphanThaw.isRecovering, orphanThaw.isDone.allSatisfy(\.self) { recoveryEnds() }
    }

    /// What is not thawed by now is stuck.
    func recoveryEnds() {
        guard let orphanThaw, orphanThaw.isRecovering, let ledger else { return }
        self.orphanThaw?.isRecovering = false
        let stuck = ledger.superblocks.indices.filter { !orphanThaw.isDone[$0] }
        let leftover = Leftover(
            requestID: ledger.id, channel: ledger.channel, options: ledger.options,
            hooksOwedThaw: ledger.owedHooks.reversed(),
            stuck: stuck.map { SimulatedWorld.mountPoints[ledger.superblocks[$0]] }, outcome: ledger.outcome)
        schedule(at: now, .daemon(.recovered(leftover), life: life))
    }
}
