import FreezeCore

/// Other agents that freeze, thaw and mount: an admin by hand, and another backup agent.
extension Simulation {
    /// `fsfreeze -u`, at any moment. In the kernel it does not matter whose freeze it is.
    func foreignThaw(_ index: Int) {
        if let freezing = superblocks[index].freezing {
            if now < freezing.flushes { return coverage.note(.foreignThawWhileWriting) }
            coverage.note(.foreignThawWhileFlushing)
            return schedule(at: freezing.ends, .foreignThaw(index))
        }
        guard superblocks[index].isFrozenByUs else {
            superblocks[index].holder = .nobody
            return
        }
        superblocks[index].holder = .nobody
        superblocks[index].isWritten = random.oneIn(2)
        // One that took the freeze for its own begins anew.
        if random.oneIn(2) { foreignAgentComes(within: 50, on: index) }
    }

    /// An agent that freezes one filesystem and thaws it, a few times over.
    func foreignAgentComes(within milliseconds: Int, on index: Int? = nil) {
        let index = index ?? random.below(superblocks.count)
        let rounds = 1 + random.below(4)
        schedule(at: now + random.milliseconds(0, milliseconds), .foreignFreeze(index, rounds: rounds))
    }

    func foreignFreeze(_ index: Int, rounds: Int) {
        let isFree = superblocks[index].holder == .nobody && superblocks[index].freezing == nil
        if isFree {
            superblocks[index].holder = .foreign
            let window = random.oneIn(2) ? random.milliseconds(0, 100) : random.milliseconds(0, 10_000)
            schedule(at: now + window, .foreignFreezeEnds(index))
        } else if fails(.foreignThaw, 2) {
            // It takes EBUSY for success, and thaws what is another's.
            schedule(at: now + random.milliseconds(0, 2000), .foreignThaw(index))
        }
        guard rounds > 1 else { return }
        let pause = random.oneIn(2) ? random.milliseconds(0, 200) : random.milliseconds(0, 15_000)
        schedule(at: now + pause, .foreignFreeze(index, rounds: rounds - 1))
    }

    /// Another disk, writable at once.
    func foreignMount() {
        isMoreMounted = true
        if machine.state == .frozen { coverage.note(.mountedInWindow) }
    }

    func foreignFreezeEnds(_ index: Int) {
        if superblocks[index].holder == .foreign { superblocks[index].holder = .nobody }
    }
}
