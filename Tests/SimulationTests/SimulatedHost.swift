@testable import FreezeCore

/// An operation of a host, and what became of it.
struct SimulatedOperation {
    enum Kind {
        case hotBackup
        case freeze
        case thaw
    }

    let kind: Kind
    let host: Int
    let channel: ChannelID
    let received: Int64
    /// When it was sent.
    let state: RequestState
    var verdict: OperationAnswer?
    /// Nobody waits for the answer any more.
    var isLost = false
    /// The answer reached no client, and the daemon knows.
    var isUndelivered = false
    /// How long the daemon had stood still before.
    var stoodStillBefore: Int64 = 0
    /// A THAW by the driver, not by the host.
    var isFake = false
    /// A THAW that came while all was frozen for it.
    var endsWindow = false
    /// A FREEZE that comes while another is served.
    var isSecond = false
    /// A second FREEZE beside one that goes on: what it is told changes nothing for that.
    var isBesides = false
    /// A second FREEZE that the rules of the channel call an error.
    var isError = false
    /// A THAW by hand of somebody else's request.
    var isForced = false
    /// A FREEZE that may wait, or an operation that ends somebody's window first.
    var mayWait = false
    /// A FREEZE that was worked on.
    var hasBegun = false
}

/// What sends requests through one channel.
struct SimulatedHost {
    enum Role: CaseIterable {
        /// One host, behind the kernel's driver: see `SimulatedVSSDriver`.
        case hyperV
        /// Another one, behind a device that passes on whatever is sent, whenever it is.
        case agent
        /// The control socket: many callers, independent of one another.
        case control
        /// One caller after another, each with a window that ends with its connection.
        case hold
        /// The same for the host over vsock, which may not act for the admin, but tries.
        case vsock

        /// Whether a window ends with a connection.
        var holds: Bool { self == .hold || self == .vsock }
    }

    enum LastFreeze {
        /// Of this life of the daemon.
        case none
        case unanswered
        case succeeded
        case failed
        /// Its channel was lost before it was answered, or since it failed.
        case lost
    }

    let role: Role
    var channel: ChannelID
    var operationsLeft: Int
    var isOpen = false
    var isRegistered = false
    /// It takes no snapshots.
    var isStandIn = false
    /// Whether a dry run can succeed.
    var mayRehearse: Bool { isStandIn || !hasDevice }
    var lastFreeze = LastFreeze.none
    var outstanding = 0
    /// The operation whose answer the kernel's driver waits for.
    var awaited: Int?
    /// Its last THAW was answered, and nothing was begun since.
    var isThawAnswered = false
    /// Its window was ended by force, and nothing was begun since.
    var isForcedOut = false
    /// The daemon died in its window, or the failure of its THAW reached no client, and nothing was begun, or answered to
    /// a THAW, since.
    var isCutOff = false
    /// A caller who holds has got what he came for: his connection ends.
    var isLeaving = false

    init(role: Role, operationsLeft: Int) {
        self.role = role
        self.operationsLeft = operationsLeft
        channel =
            switch role {
            case .hyperV: .hyperV
            case .agent: ChannelID(name: "agent")
            case .control: .control
            case .hold: .hold(1)
            case .vsock: .vsock(1)
            }
    }

    /// Whether it can send; the control socket takes orders at any moment, also while recovering.
    var isReachable: Bool { isOpen || !hasDevice }

    /// Whether one host stands behind a device that is opened and lost.
    var hasDevice: Bool { role == .hyperV || role == .agent }

    mutating func connectionEnded() {
        isOpen = false
        isRegistered = false
        outstanding = 0
        awaited = nil
        isThawAnswered = false
        guard role.holds else { return }
        // He never comes back: the next one is somebody else.
        channel = ChannelID(name: channel.name, caller: (channel.caller ?? 0) + 1)
        lastFreeze = .none
        isForcedOut = false
        isLeaving = false
    }

    /// - Parameter isOpen: Whether its window was open.
    mutating func daemonEnded(inWindow isOpen: Bool) {
        isCutOff = isCutOff || isOpen && lastFreeze == .succeeded
        connectionEnded()
        lastFreeze = .none
        isForcedOut = false
    }
}

extension Simulation {
    func hostActs(_ index: Int) {
        guard hosts[index].operationsLeft > 0 else { return }
        let isReachable = isDaemonUp && hosts[index].isReachable
        if isReachable, !hosts[index].isRegistered {
            register(index)
            return schedule(at: now, .hostActs(index))
        }
        hosts[index].operationsLeft -= 1
        guard isReachable else {
            return schedule(at: now + random.milliseconds(100, 5000), .hostActs(index))
        }
        if hosts[index].isLeaving { return loseChannel(index) }
        if hosts[index].role == .hyperV, hosts[index].awaited != nil || isOvertaken(index) { return }
        if faults.contains(.disorder) {
            if random.oneIn(2) { schedule(at: now + anyPause(), .hostActs(index)) }
        } else if hosts[index].outstanding > 0 {
            // Another caller of the control socket.
            if hosts[index].role == .control, random.oneIn(2) { send(.freeze, from: index) }
            return
        }
        act(index)
    }

    private func act(_ index: Int) {
        let role = hosts[index].role
        let isForeign = machine.requestID != nil && machine.owner != hosts[index].channel
        if role == .control || role == .vsock, isForeign, fails(.force, 2) {
            send(.thaw, from: index, isForced: true)
        } else if role.holds, hosts[index].lastFreeze == .succeeded, fails(.channelLost, 3) {
            loseChannel(index)
        } else {
            send(nextOperation(of: index), from: index)
        }
    }

    private func nextOperation(of index: Int) -> SimulatedOperation.Kind {
        let kinds: [SimulatedOperation.Kind] = [.hotBackup, .freeze, .thaw, .thaw]
        if fails(.disorder, 2) { return kinds[random.below(4)] }
        switch hosts[index].lastFreeze {
        case .succeeded where hosts[index].role == .control && random.oneIn(4): return .freeze
        case .succeeded: return .thaw
        case .failed: return random.oneIn(2) ? .thaw : .freeze
        case .lost where random.oneIn(2): return .thaw
        case .none, .unanswered, .lost: return random.oneIn(6) ? .thaw : random.oneIn(4) ? .hotBackup : .freeze
        }
    }

    func anyPause() -> Int64 {
        switch random.below(3) {
        case 0: random.milliseconds(0, 50)
        case 1: random.milliseconds(0, 5000)
        default: random.milliseconds(0, 60_000)
        }
    }

    func register(_ index: Int) {
        hosts[index].isRegistered = true
        hosts[index].isStandIn = hosts[index].hasDevice && random.oneIn(2)
        deliver(.registered(hosts[index].channel, isStandIn: hosts[index].isStandIn))
    }

    // MARK: Operations

    @discardableResult
    func send(
        _ kind: SimulatedOperation.Kind, from index: Int, isForced: Bool = false, isFake: Bool = false
    ) -> Int {
        let number = operations.count
        let channel = hosts[index].channel
        let id = OperationID(number: UInt64(number))
        var operation = operation(kind, from: index, isForced: isForced)
        operation.isFake = isFake
        operations.append(operation)
        hosts[index].outstanding += 1
        driverAwaits(number, from: index)
        switch kind {
        case .hotBackup: deliver(.hotBackup(channel, id))
        case .freeze:
            noteFreeze(operation)
            let clock = WallClock(moment: Moment(nanoseconds: now), wallTime: WallTime(milliseconds: 0))
            deliver(.freeze(channel, id, RequestID("\(number)"), freezeOptions(), clock))
        case .thaw:
            noteForce(operation)
            if operation.mayWait, hosts[index].role.holds, fails(.channelLost, 2) {
                schedule(at: now + random.milliseconds(0, 10), .hostHangsUp(index))
            }
            let wish = ThawWish(isForced: isForced)
            deliver(.thaw(channel, id, wish, windowFindings(before: channel, wish)))
        }
        if isForced, !operation.isForced, operation.state == .frozen, operations[number].verdict == .failure {
            coverage.note(.forceRefused)
        }
        if isDaemonUp, operations[number].verdict == nil, !operation.mayWait, !operations[number].isLost {
            violate("P8", "\(kind) \(number) is not answered at once")
        }
        return number
    }

    /// Mostly a backup of the whole machine.
    private func freezeOptions() -> FreezeOptions {
        FreezeOptions(
            callsHooks: !random.oneIn(12), freezes: !random.oneIn(12),
            window: random.oneIn(8) ? .seconds(3 + random.below(70)) : nil, isRehearsal: random.oneIn(8))
    }

    /// What it means at this moment.
    private func operation(
        _ kind: SimulatedOperation.Kind, from index: Int, isForced: Bool
    ) -> SimulatedOperation {
        let host = hosts[index]
        var operation = SimulatedOperation(
            kind: kind, host: index, channel: host.channel, received: now, state: machine.state,
            stoodStillBefore: stoodStill)
        let isOwner = machine.owner == host.channel
        let isHeld = isOwner && [.frozen, .holding, .rehearsing].contains(machine.state)
        // Only a host that begins anew has given its window up.
        let secondFreeze = machine.policy.rules(of: host.channel).secondFreeze
        let losesWindow = isHeld && secondFreeze == .losesWindow
        let isEnding = [.thawing, .releasing, .thawHooks].contains(machine.state)
        let isActive = machine.requestID != nil && machine.state != .thawHooks
        operation.endsWindow = kind == .thaw && isHeld && host.lastFreeze == .succeeded && !isThawedEarly
        let mayForce = isForced && machine.policy.rules(of: host.channel).actsForAdmin
        operation.isForced = mayForce && isActive && !isOwner
        operation.isSecond =
            kind == .freeze && machine.requestID != nil && !losesWindow
            && !(isOwner && isEnding && machine.waiting == nil)
        operation.isError = operation.isSecond && isHeld && secondFreeze == .error
        operation.isBesides =
            operation.isSecond && (host.role == .control || isOwner && host.role.holds || operation.isError)
        operation.mayWait =
            switch kind {
            case .hotBackup: losesWindow
            case .freeze: !operation.isSecond
            case .thaw: isActive && (isOwner || mayForce)
            }
        return operation
    }

    private func noteFreeze(_ operation: SimulatedOperation) {
        let index = operation.host
        guard !operation.isBesides else { return }
        hosts[index].lastFreeze = .unanswered
        hosts[index].isThawAnswered = false
        hosts[index].isForcedOut = false
        hosts[index].isCutOff = false
        // It is cancelled while it waits for the thaw before.
        if operation.state == .thawing, fails(.disorder, 2) {
            schedule(at: now + random.milliseconds(0, 5), .hostActs(index))
        }
        // Another caller of the control socket comes at any moment.
        if hosts[index].role == .control, random.oneIn(3) { schedule(at: now + anyPause(), .hostActs(index)) }
    }

    private func noteForce(_ operation: SimulatedOperation) {
        guard operation.isForced, [.frozen, .holding, .rehearsing].contains(operation.state) else { return }
        for index in hosts.indices where hosts[index].channel == machine.owner { hosts[index].isForcedOut = true }
    }

    func loseChannel(_ index: Int) {
        guard isDaemonUp, hosts[index].isReachable else { return }
        let channel = hosts[index].channel
        if hosts[index].role.holds, machine.owner == channel {
            if machine.state == .frozen { coverage.note(.holdLostFrozen) }
            if machine.state == .thawing { coverage.note(.holdLostThawing) }
        }
        if hosts[index].lastFreeze == .unanswered || hosts[index].lastFreeze == .failed {
            hosts[index].lastFreeze = .lost
        }
        hosts[index].connectionEnded()
        for number in operations.indices where operations[number].host == index {
            operations[number].isLost = true
        }
        schedule(at: now + anyPause(), .hostActs(index))
        deliver(.channelLost(channel, reason: "hung up"))
    }

    /// The answer has reached the host: its next operation follows.
    func answered(_ id: OperationID, _ verdict: OperationAnswer) {
        let operation = operations[Int(id.number)]
        let index = operation.host
        guard mayWriteAnswer(to: Int(id.number)) else { return }
        hosts[index].outstanding -= 1
        let isOtherCaller = operation.isBesides || hosts[index].role == .control && operation.isForced
        if operation.kind == .thaw, !isOtherCaller {
            hosts[index].isThawAnswered = true
            hosts[index].isCutOff = false
            if verdict == .failure, hosts[index].role == .agent, fails(.channelLost, 3) {
                let happening = Happening.clientLeavesBeforeAnswer(toThaw: Int(id.number), life: life)
                schedule(at: now + random.milliseconds(0, 20), happening)
            }
        }
        if operation.kind == .freeze, !isOtherCaller { freezeAnswered(index, verdict) }
        if hosts[index].role.holds, operation.kind == .thaw || verdict == .failure {
            hosts[index].isLeaving = !fails(.disorder, 2)
        }
        let slow = fails(.slowHost, 2) ? random.milliseconds(1000, 90_000) : random.milliseconds(0, 3000)
        schedule(at: now + slow, .hostActs(index))
    }

    /// A client of an agent has gone before the failure of its THAW was written.
    func clientLeavesBeforeAnswer(toThaw number: Int) {
        let operation = operations[number]
        let isPast = operations[number...].contains { $0.host == operation.host && $0.kind == .freeze }
        // In the window of another channel no file keeps the loss.
        guard isDaemonUp, !isPast, !operation.isLost, !machine.isWindowOpen else { return }
        coverage.note(.thawUndelivered)
        operations[number].isUndelivered = true
        hosts[operation.host].isThawAnswered = false
        hosts[operation.host].isCutOff = true
        deliver(.thawUndelivered(operation.channel, reason: "the window ended early"))
    }

    private func freezeAnswered(_ index: Int, _ verdict: OperationAnswer) {
        hosts[index].isThawAnswered = false
        hosts[index].lastFreeze = verdict == .success ? .succeeded : .failed
        guard verdict == .success else { return }
        // THAW just when the window ends.
        if fails(.lateTimer, 3), let limit = machine.frozenUntil {
            schedule(at: limit.nanoseconds + random.milliseconds(0, 8) - 4_000_000, .hostActs(index))
        }
        if fails(.foreignFreeze, 4) { foreignAgentComes(within: 4000) }
        if fails(.foreignMount, 2) { schedule(at: now + random.milliseconds(0, 4000), .foreignMount) }
        if fails(.suspend, 4) { schedule(at: now + random.milliseconds(0, 4000), .machineIsSuspended) }
        if fails(.foreignThaw, 2) {
            schedule(at: now + random.milliseconds(0, 4000), .foreignThaw(random.below(superblocks.count)))
        }
        if hosts[index].role != .control, fails(.force, 2) {
            let control = hosts.indices.first { hosts[$0].role == .control }
            if let control { schedule(at: now + random.milliseconds(0, 4000), .hostActs(control)) }
        }
    }

    /// Whether a guard of ours has thawed something of the request already.
    private var isThawedEarly: Bool {
        if scenario.policy.isDryRun { return false }
        return ledger?.superblocks.contains { !superblocks[$0].isOwedThaw } ?? true
    }
}
