import FreezeCore

/// What strikes in the middle of whatever goes on.
extension Simulation {
    func prepareBlows() {
        if faults.contains(.crash) {
            for _ in 0...random.below(2) { blows.append((1 + random.below(60), .crash)) }
        }
        if faults.contains(.shutdown) { blows.append((1 + random.below(50), .shutdown)) }
        if faults.contains(.freezerDies) { blows.append((1 + random.below(50), .freezerDies)) }
        if faults.contains(.channelLost) {
            for _ in 0...random.below(2) { blows.append((1 + random.below(50), .channelLost(random.below(3)))) }
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
            stopDaemon(restartsIn: random.milliseconds(10, 5000))
        case .shutdown: schedule(at: now, .daemon(.shutdown(reason: "SIGTERM"), life: life))
        case .channelLost(let channel): loseChannel(channel)
        case .freezerDies:
            if let id = currentFreezer {
                killFreezer(id)
            } else {
                schedule(at: now, .daemon(.freezerDied, life: life))
            }
        }
    }
}
