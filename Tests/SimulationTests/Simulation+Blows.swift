import FreezeCore

/// What strikes in the middle of whatever goes on.
extension Simulation {
    func prepareBlows() {
        if faults.contains(.crash) {
            for _ in 0...random.below(2) { blows.append((1 + random.below(60), .crash)) }
        }
        if faults.contains(.shutdown) { blows.append((1 + random.below(50), .shutdown)) }
        if faults.contains(.freezerDies) { blows.append((1 + random.below(50), .freezerDies)) }
        if faults.contains(.suspend) {
            for _ in 0...random.below(3) { blows.append((1 + random.below(60), .suspend)) }
        }
        if faults.contains(.daemonStops) {
            for _ in 0...random.below(2) { blows.append((1 + random.below(60), .daemonStops)) }
        }
        if faults.contains(.channelLost) {
            for _ in 0...random.below(2) {
                blows.append((1 + random.below(50), .channelLost(random.below(hosts.count))))
            }
        }
    }

    func strike() {
        guard !blows.isEmpty else { return }
        for index in blows.indices { blows[index].countdown -= 1 }
        guard isDaemonUp, let due = blows.firstIndex(where: { $0.countdown <= 0 }) else { return }
        switch blows.remove(at: due).blow {
        case .crash:
            trace?.append("\(stamp) CRASH")
            coverage.note(.crash)
            if machine.isStuck { coverage.note(.crashWhileStuck) }
            stopDaemon(restartsIn: random.milliseconds(10, 5000))
        case .shutdown:
            if machine.isStuck { coverage.note(.shutdownWhileStuck) }
            schedule(at: now, .daemon(.shutdown(reason: "SIGTERM"), life: life))
        case .channelLost(let channel): loseChannel(channel)
        case .suspend: schedule(at: now, .machineIsSuspended)
        case .daemonStops: schedule(at: now, .daemonStops)
        case .freezerDies:
            // `quiescectl recover --force` notes it in the ledger before it kills the freezer.
            if random.oneIn(2) {
                process?.isEndedByForce = true
                ledger?.isEndedByForce = true
            }
            if machine.isStuck, process?.isAlive == true { coverage.note(.freezerDiedWhileStuck) }
            freezerDies()
        }
    }

    /// SIGSTOP, and some time later SIGCONT: what comes meanwhile waits.
    func stopDaemonForAWhile() {
        let pause = random.oneIn(2) ? random.milliseconds(0, 40_000) : random.milliseconds(10_000, 1_000_000)
        coverage.note(machine.state == .frozen ? .daemonStoppedFrozen : .daemonStopped)
        stoppedUntil = now + pause
        stoodStill += pause
        forgetTimer()
    }
}
