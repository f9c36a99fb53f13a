import FreezeCore

/// An operation of a host, and what became of it.
struct SimulatedOperation {
    enum Kind {
        case hotBackup
        case freeze
        case thaw
    }

    let kind: Kind
    let host: Int
    let received: Int64
    var verdict: OperationAnswer?
    /// Nobody waits for the answer any more.
    var isLost = false
    /// A THAW that came while all was frozen for it.
    var endsWindow = false
    /// A FREEZE that may wait, or an operation that ends somebody's window first.
    var mayWait = false
}

/// What sends requests through one channel.
struct SimulatedHost {
    enum LastFreeze {
        /// Of this life of the daemon.
        case none
        case unanswered
        case succeeded
        case failed
        /// Its channel was lost before it was answered.
        case lost
    }

    var operationsLeft: Int
    let isDevice: Bool
    var isOpen = false
    var lastFreeze = LastFreeze.none
    var outstanding = 0
    /// Its last THAW was answered, and nothing was begun since.
    var isThawAnswered = false

    init(operationsLeft: Int, isDevice: Bool) {
        self.operationsLeft = operationsLeft
        self.isDevice = isDevice
    }

    mutating func daemonEnded() {
        isOpen = false
        lastFreeze = .none
        outstanding = 0
    }
}

extension Simulation {
    func hostActs(_ index: Int) {
        guard hosts[index].operationsLeft > 0 else { return }
        hosts[index].operationsLeft -= 1
        // The control socket takes orders at any moment, also while recovering.
        guard isDaemonUp, hosts[index].isOpen || !hosts[index].isDevice else {
            return schedule(at: now + random.milliseconds(100, 5000), .hostActs(index))
        }
        if faults.contains(.disorder) {
            if random.oneIn(2) { schedule(at: now + anyPause(), .hostActs(index)) }
        } else if hosts[index].outstanding > 0 {
            return
        }
        send(nextOperation(of: index), from: index)
    }

    private func nextOperation(of index: Int) -> SimulatedOperation.Kind {
        let kinds: [SimulatedOperation.Kind] = [.hotBackup, .freeze, .thaw, .thaw]
        if fails(.disorder, 2) { return kinds[random.below(4)] }
        switch hosts[index].lastFreeze {
        case .succeeded: return .thaw
        case .failed: return random.oneIn(2) ? .thaw : .freeze
        case .lost where random.oneIn(2): return .thaw
        case .none, .unanswered, .lost: return random.oneIn(6) ? .thaw : random.oneIn(4) ? .hotBackup : .freeze
        }
    }

    private func anyPause() -> Int64 {
        switch random.below(3) {
        case 0: random.milliseconds(0, 50)
        case 1: random.milliseconds(0, 5000)
        default: random.milliseconds(0, 60_000)
        }
    }

    @discardableResult
    func send(_ kind: SimulatedOperation.Kind, from index: Int) -> Int {
        let number = operations.count
        let channel = SimulatedWorld.channels[index]
        let id = OperationID(number: UInt64(number))
        var operation = SimulatedOperation(kind: kind, host: index, received: now)
        let isOwner = machine.owner == channel
        let isFrozen = machine.state == .frozen && isOwner
        operation.endsWindow = kind == .thaw && isFrozen && hosts[index].lastFreeze == .succeeded && !isTampered
        let isEnding = machine.state == .thawing || machine.state == .thawHooks
        operation.mayWait =
            switch kind {
            case .hotBackup: isFrozen
            case .freeze: machine.requestID == nil || isOwner && (isFrozen || isEnding)
            case .thaw: true
            }
        operations.append(operation)
        hosts[index].outstanding += 1
        switch kind {
        case .hotBackup: deliver(.hotBackup(channel, id))
        case .freeze:
            hosts[index].lastFreeze = .unanswered
            hosts[index].isThawAnswered = false
            deliver(.freeze(channel, id, RequestID("\(number)")))
        case .thaw: deliver(.thaw(channel, id))
        }
        if isDaemonUp, operations[number].verdict == nil, !operation.mayWait {
            violate("P8", "\(kind) \(number) is not answered at once")
        }
        return number
    }

    func loseChannel(_ index: Int) {
        guard isDaemonUp, hosts[index].isOpen || !hosts[index].isDevice else { return }
        hosts[index].isOpen = false
        hosts[index].outstanding = 0
        hosts[index].isThawAnswered = false
        if hosts[index].lastFreeze == .unanswered { hosts[index].lastFreeze = .lost }
        for number in operations.indices where operations[number].host == index {
            operations[number].isLost = true
        }
        schedule(at: now + anyPause(), .hostActs(index))
        deliver(.channelLost(SimulatedWorld.channels[index], reason: "hung up"))
    }

    /// The answer has reached the host: its next operation follows.
    func answered(_ channel: ChannelID, _ id: OperationID, _ verdict: OperationAnswer) {
        let operation = operations[Int(id.number)]
        let index = operation.host
        hosts[index].outstanding -= 1
        if operation.kind == .thaw { hosts[index].isThawAnswered = true }
        if operation.kind == .freeze {
            hosts[index].isThawAnswered = false
            hosts[index].lastFreeze = verdict == .success ? .succeeded : .failed
            if verdict == .success, fails(.foreignThaw, 2) {
                schedule(
                    at: now + random.milliseconds(0, 4000), .foreignThaw(random.below(superblocks.count)))
            }
        }
        let slow = fails(.slowHost, 2) ? random.milliseconds(1000, 90_000) : random.milliseconds(0, 3000)
        schedule(at: now + slow, .hostActs(index))
    }

    /// Whether something that should be frozen for the request is not.
    var isTampered: Bool {
        ledger?.superblocks.contains { !superblocks[$0].isFrozenByUs } ?? true
    }
}
