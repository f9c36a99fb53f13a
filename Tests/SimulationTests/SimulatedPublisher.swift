import FreezeCore

/// The publisher of the state. The file may be locked or hang; a cancelled publication publishes nothing.
struct SimulatedPublisher {
    /// The publication that runs.
    struct Run {
        let number: Int
        /// The facts that the host sees if the publication succeeds.
        let facts: Int
        /// Hangs in the kernel, and does not notice a cancellation.
        let hangs: Bool
        var isCancelled = false
    }

    var isPastRecalled = false
    var run: Run?
    /// Changes with every published fact.
    var facts = 0
    /// The facts that the host sees.
    var seen = -1
    var isStopPublished = false
    private(set) var count = 0

    mutating func begin(hangs: Bool) -> Int {
        count += 1
        run = Run(number: count, facts: facts, hangs: hangs)
        return count
    }
}

extension Simulation {
    // MARK: The driver

    /// The history is read, at once or slowly.
    func readPast() {
        publisher = SimulatedPublisher()
        let delay = fails(.workHangs, 3) ? random.milliseconds(0, 20_000) : random.milliseconds(0, 50)
        schedule(at: now + delay, .daemon(.pastRecalled, life: life))
    }

    func writeRecord() {
        publisher.facts += 1
        let delay = fails(.workHangs, 6) ? random.milliseconds(0, 20_000) : random.milliseconds(0, 20)
        schedule(at: now + delay, .daemon(.recorded, life: life))
    }

    func publish(isLast: Bool) {
        inspectPublication(isLast: isLast)
        if isLast { return publisher.isStopPublished = true }
        let hangs = fails(.workHangs, 3)
        let number = publisher.begin(hangs: hangs)
        let delay =
            hangs
            ? random.milliseconds(1000, 200_000)
            // Another program holds the lock.
            : random.oneIn(6) ? random.milliseconds(20, 5000) : random.milliseconds(0, 20)
        schedule(at: now + delay, .publicationEnds(number, life: life))
    }

    func cancelPublication() {
        guard let run = publisher.run else { return violate("publication", "none runs that could be cancelled") }
        publisher.run?.isCancelled = true
        coverage.note(.publicationCancelled)
        if !run.hangs { schedule(at: now + random.milliseconds(0, 20), .publicationEnds(run.number, life: life)) }
    }

    func publicationEnds(_ number: Int) {
        guard let run = publisher.run, run.number == number else { return }
        publisher.run = nil
        let isDone = !run.isCancelled && !fails(.workFails, 3)
        if isDone { publisher.seen = run.facts } else if !run.isCancelled { coverage.note(.publicationFailed) }
        deliver(.publicationEnded(isDone: isDone))
    }

    // MARK: Checks

    func notePublicationEvent(_ event: RequestEvent) {
        switch event {
        case .pastRecalled:
            publisher.isPastRecalled = true
            publisher.facts += 1
        default: break
        }
    }

    /// P7, and no false state.
    private func inspectPublication(isLast: Bool) {
        if superblocks.contains(where: { $0.isFrozenByUs || $0.freezing != nil }) {
            violate("P7", "the state is published while a filesystem is frozen or stuck")
        }
        if machine.requestID != nil { violate("P7", "the state is published while a request is served") }
        if !publisher.isPastRecalled { violate("publication", "the state is published without the past requests") }
        if publisher.run != nil, !isLast { violate("publication", "one runs beside another") }
    }

    /// Call after an event.
    func inspectPublisher(_ machine: RequestMachine) {
        guard isDaemonUp, let run = publisher.run else { return }
        if !run.isCancelled, machine.requestID != nil {
            violate("P7", "a publication may run into the window")
        }
        if run.hangs, machine.state == .frozen { coverage.note(.publicationHungFrozen) }
    }

    func inspectLastPublication() {
        let isOwed = scenario.policy.publishesState && publisher.isPastRecalled && !machine.isStuck
        if isOwed, !publisher.isStopPublished { violate("publication", "the host is not told of the stop") }
    }

    func checkPublished() {
        if scenario.policy.publishesState, publisher.seen != publisher.facts {
            violate("publication", "the host sees an old state")
        }
    }
}
