import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage

/// What comes in: from channels, from threads that did what may block, from the freezer, from the clock.
extension Coordinator {
    func receive(_ message: CoordinatorMessage) {
        switch message {
        case .event(let event): handle(event)
        case .channel(let channel, let event): receive(channel, event)
        case .opened(let work, let result): opened(work, result)
        case .thawedInPlace(let id, let index, let result):
            // The indices are that request's.
            if resources?.requestID == id { handle(.thawed(index, result)) }
        case .sessionStarted(let work, let index, let run, let session):
            // A session that became ready too late is dropped, which releases the session.
            if let session, machine.isAwaited(work) { resources?.sessions[index] = session }
            handle(.hookFinished(work, run))
        case .sessionEnded(let id, let index, let run):
            if resources?.requestID == id { handle(.sessionEnded(index: index, run)) }
        case .freezerStarted(let life, let processID): freezer.started(life, processID: processID)
        case .freezerEnded(let life, let how): freezerEnded(life, how: how)
        case .takeOverDue(let id): if resources?.requestID == id { takeOverThaw() }
        case .recoveryDue: recover()
        case .leftover(let result): recovered(result)
        case .recoveryFailed(let error): recoveryFailed(error)
        case .note(let note): log(note)
        case .statusAsked(let reply): reply(status)
        case .historyAsked(let limit, let reply): readHistory(limit, reply)
        case .lastRequestsRead(let last, let lastGood, let recent):
            lastRequestsRead(last, lastGood, recent)
            handle(.pastRecalled)
        case .recorded(let record): remember(record)
        }
    }

    private func receive(_ channel: ChannelID, _ event: ChannelEvent) {
        switch event {
        case .registered(let isStandIn):
            if channel == .control { lifeObserver?.isServing() }
            if channel.caller == nil {
                let state =
                    channel == .control || channel == .vsock
                    ? "listening" : isStandIn ? "registered, on a stand-in device" : "registered"
                channelStates[channel.name] = DaemonStatus.Channel(
                    name: channel.name, state: state, isRegistered: true)
            }
            handle(.registered(channel, isStandIn: isStandIn))
        case .hotBackup(let operation): handle(.hotBackup(channel, operation))
        case .freeze(let operation, let options):
            handle(.freeze(channel, operation, .unique(), options, .current()))
        case .thaw(let operation, let wish):
            // First the reports of the freezer: after the freezer's own thaw a write is no sign of another agent.
            receiveFreezerNews()
            handle(.thaw(channel, operation, wish, windowFindings(before: channel, wish)))
        case .thawUndelivered(let reason): handle(.thawUndelivered(channel, reason: reason))
        case .acknowledge(let operation): handle(.acknowledge(channel, operation))
        case .lost(let reason):
            // Without its socket, too: the host needs none.
            if channel == .control { lifeObserver?.isServing() }
            if channel.caller == nil {
                channelStates[channel.name] = DaemonStatus.Channel(
                    name: channel.name, state: "not registered: \(reason)", isRegistered: false)
            }
            handle(.channelLost(channel, reason: reason))
        case .note(let note): log(note)
        }
    }

    // MARK: The freezer

    func receiveFreezerNews() {
        guard freezer.descriptor != nil else { return }
        let (news, isConnected) = freezer.receiveAll()
        for piece in news { receive(piece) }
        if !isConnected { freezerEnded(how: "its connection ended") }
    }

    private var isEndedByForce: Bool { resources?.ledger?.isEndedByHand == true }

    // MARK: Time

    func timePassed() {
        var findings = DeadlineFindings(isEndedByForce: isEndedByForce)
        if machine.quotesMemory { findings.memory = unwrittenMemory }
        handle(.timePassed(findings))
    }

    private func receive(_ news: FreezerNews) {
        switch news {
        case .ready:
            handle(.freezerReady)
        case .released:
            break
        case .prepared:
            handle(.freezerPrepared)
        case .prepareFailed(let error):
            handle(.freezerRefused(error))
        case .froze(let index, let error, let started, let ended):
            handle(.froze(index, TimedResult(error: error, started: started, ended: ended)))
        case .thawing(let cause):
            handle(.freezerThaws(cause))
        case .thawed(let index, let error, let started, let ended):
            handle(.thawed(index, TimedResult(error: error, started: started, ended: ended)))
        case .thawFinished:
            handle(.thawFinished)
        }
    }

    /// Called for the end of the process and for the end of the connection. The first call counts.
    private func freezerEnded(_ life: FreezerLife? = nil, how: String) {
        guard freezer.isPresent(life) else { return }
        // The machine first: what it takes over needs the process.
        handle(.freezerEnded(how: how, isByForce: isEndedByForce))
        freezer.ended()
    }
}
