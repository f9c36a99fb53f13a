import FreezeCore

/// The kernel's Hyper-V driver (hv_snapshot.c) and the channel in front of it: it passes one operation on at a time,
/// gives up on it after a while, and takes whatever is written then for the answer to the next one.
extension Simulation {
    /// When the driver gives up; its timer stands still while the machine is suspended.
    private static let freezePatience: Int64 = 900_000_000_000
    private static let patience: Int64 = 30_000_000_000

    /// When the channel does, by CLOCK_BOOTTIME.
    private static func answerLimit(_ kind: SimulatedOperation.Kind) -> Int64 {
        kind == .freeze ? 870_000_000_000 : 25_000_000_000
    }

    /// The driver passes an operation on.
    func driverAwaits(_ number: Int, from index: Int) {
        guard hosts[index].role == .hyperV else { return }
        let kind = operations[number].kind
        hosts[index].awaited = number
        schedule(at: now + (kind == .freeze ? Self.freezePatience : Self.patience), .driverGivesUp(number))
        // A daemon that stands still notices it late, and even after the driver has given up.
        let late = fails(.lateTimer, 3) ? random.milliseconds(0, 60_000) : 0
        schedule(at: now + Self.answerLimit(kind) + late, .channelGivesUp(number, isLate: late > 0))
    }

    /// The host is told of failure, by the driver, and goes on.
    func driverGivesUp(_ number: Int) {
        let index = operations[number].host
        guard hosts[index].awaited == number else { return }
        hosts[index].awaited = nil
        coverage.note(.driverGaveUp)
        schedule(at: now + random.milliseconds(0, 3000), .hostActs(index))
    }

    /// The channel closes a device whose operation has become too old for any answer.
    func channelGivesUp(_ number: Int) {
        guard operations[number].verdict == nil, !operations[number].isLost else { return }
        loseChannel(operations[number].host)
    }

    /// Whether the answer may be written, which the driver would take for the answer to what it awaits now. If not, the
    /// channel closes the device.
    func mayWriteAnswer(to number: Int) -> Bool {
        let operation = operations[number]
        guard hosts[operation.host].role == .hyperV else { return true }
        let isAwaited = hosts[operation.host].awaited == number && !operation.isFake
        if isAwaited, now - operation.received < Self.answerLimit(operation.kind) {
            hosts[operation.host].awaited = nil
            return true
        }
        coverage.note(.answerDropped)
        schedule(at: now, .hostHangsUp(operation.host))
        return false
    }

    /// A message while another waits for its answer: that one can be answered no more.
    func isOvertaken(_ index: Int) -> Bool {
        guard hosts[index].role == .hyperV, hosts[index].outstanding > 0 else { return false }
        coverage.note(.overtaken)
        schedule(at: now, .hostHangsUp(index))
        return true
    }

    // MARK: Suspend

    /// The machine sleeps, for minutes or hours: CLOCK_BOOTTIME goes on meanwhile, and nothing else does.
    func suspend() {
        let sleep = random.oneIn(2) ? random.milliseconds(30_000, 600_000) : random.milliseconds(0, 14_400_000)
        coverage.note(machine.state == .frozen && isDaemonUp ? .suspendedFrozen : .suspended)
        let before = now
        now += sleep
        stoodStill += sleep
        postpone(by: sleep)
        for index in superblocks.indices {
            superblocks[index].freezing?.flushes += sleep
            superblocks[index].freezing?.ends += sleep
            if case .us(let until) = superblocks[index].holder {
                superblocks[index].holder = .us(until: max(until, now + slack))
            }
        }
        for index in freezers.indices {
            if freezers[index].lastReport > before { freezers[index].lastReport += sleep }
            if freezers[index].lastOrder > before { freezers[index].lastOrder += sleep }
        }
        guard isDaemonUp, now >= stoppedUntil, random.oneIn(2) else { return }
        for index in hosts.indices where hosts[index].role == .hyperV { fakeThaw(from: index) }
    }

    /// The driver's own, before it sleeps. Its answer is not taken.
    private func fakeThaw(from index: Int) {
        guard hosts[index].isOpen, hosts[index].isRegistered, !isOvertaken(index) else { return }
        send(.thaw, from: index, isFake: true)
    }
}
