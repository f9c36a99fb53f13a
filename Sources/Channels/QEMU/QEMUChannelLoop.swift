import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// The thread of the guest agent channel: opens the port, reads and writes it, carries out the effects of
/// ``AgentSession``, and begins again after every loss.
struct QEMUChannelLoop {
    let setup: QEMUChannel.Setup
    let deliver: @Sendable (ChannelEvent) -> Void
    let mailbox: ChannelMailbox

    private var session = AgentSession(version: Version.current)
    private var relay: QEMUAgentRelay
    private let poll: EdgePoll
    private var unanswered: UnansweredRequests?
    /// Whether the port may have more to read.
    private var mayHaveInput = false
    /// Since when the port shows no client; nil while a client is there.
    private var hungUpSince: Moment?
    private var isClientGone = false
    private var pauses: RetryPauses
    /// Nil to wait for an arrival.
    private var nextAttempt: Moment?
    private var lastNote: String?
    private var lastFailure: Errno?
    /// Watches for the port, or for the socket of qemu-ga.
    private var arrival: PathArrival?

    init(
        _ setup: QEMUChannel.Setup, mailbox: ChannelMailbox, deliver: @escaping @Sendable (ChannelEvent) -> Void
    ) throws(Errno) {
        self.setup = setup
        self.mailbox = mailbox
        self.deliver = deliver
        relay = QEMUAgentRelay(socket: setup.stockAgent.relaySocket)
        poll = try EdgePoll()
        try poll.add(mailbox.wakeUp.descriptor)
        pauses = RetryPauses(first: setup.limits.closed, longest: setup.limits.longestRetry)
        // The previous instance may have closed the port a moment ago.
        let mayBeJustClosed = setup.stored == nil && access(setup.device.string, F_OK) == 0
        nextAttempt = mayBeJustClosed ? .now + setup.limits.closed : .now
    }

    mutating func run() {
        var stored = setup.stored
        while waitUntilDue() {
            guard var port = open(&stored) else { continue }
            let loss = serveUntilLost(&port)
            // Unwritten replies end with the port.
            if loss != nil || port.hasOutput { reportUndelivered(session.clientIsGone(at: .now)) }
            close(port, isLost: loss != nil)
            guard let loss else { return }
            reportLoss(loss)
        }
    }

    // MARK: Opening

    /// Waits until the port may be opened; false at a stop.
    private mutating func waitUntilDue() -> Bool {
        while true {
            let (messages, isStopping) = mailbox.takeMessages()
            // The answer to a thaw can follow the loss of the port.
            for message in messages { reportUndelivered(effects(of: message)) }
            if isStopping { return false }
            let mayOpen = mailbox.mayOpen
            if mayOpen, let nextAttempt, .now >= nextAttempt { return true }
            let ready = pollDescriptors(
                [(mailbox.wakeUp.descriptor, .readable), (mayOpen ? arrival?.descriptor : nil, .readable)],
                until: mayOpen ? nextAttempt : nil)
            if !ready[1].isEmpty, mailbox.mayOpen { lookAtArrival() }
        }
    }

    private mutating func lookAtArrival() {
        do throws(Errno) {
            if try arrival?.hasComeNearer() == true { nextAttempt = .now }
        } catch {
            // No more watches: the pauses remain.
            (arrival, nextAttempt) = (nil, .now)
        }
    }

    private mutating func open(_ stored: inout FileDescriptor?) -> QEMUPort? {
        if let descriptor = stored {
            stored = nil
            // After a failure the port stays closed for a while: QEMU reports at most one change a second to libvirt.
            return adopt(descriptor)
        }
        if leavesPortToQemuAgent() { return nil }
        do throws(Errno) {
            let port = try QEMUPort.open(setup.device)
            do throws(Errno) {
                try begin(port, isKept: false)
            } catch {
                port.close()
                throw error
            }
            unanswered = try? UnansweredRequests(setup.unanswered)
            unanswered?.write([], isCut: false)
            return port
        } catch {
            note(error)
            let isMissing = error == .noSuchFileOrDirectory
            awaitArrival(isMissing ? setup.device : nil)
            return nil
        }
    }

    /// Serves the open port of the previous instance. Nil if the path is another port by now, or if the client has half a
    /// reply: the client learns of a closed port from QEMU.
    private mutating func adopt(_ descriptor: FileDescriptor) -> QEMUPort? {
        var (kept, present) = (stat(), stat())
        let isSame =
            fstat(descriptor.rawValue, &kept) == 0
            && (stat(setup.device.string, &present) != 0 || kept.st_rdev == present.st_rdev)
        var file = try? UnansweredRequests(setup.unanswered)
        let predecessor = file?.readPredecessor()
        do throws(Errno) {
            guard isSame, predecessor?.isCut != true else { throw .brokenPipe }
            var port = try QEMUPort(path: setup.device, owning: descriptor)
            try begin(port, isKept: true)
            let error = AgentError(.generic, "quiesced ended before the reply was ready")
            for request in predecessor?.requests ?? [] {
                port.add(AgentReply(.failure(error), id: request.id).line)
            }
            unanswered = file
            return port
        } catch {
            setup.keep(nil)
            try? descriptor.close()
            file?.close()
            nextAttempt = .now + setup.limits.closed
            return nil
        }
    }

    /// With `auto`, a restart of the stock agent finds the port free.
    private mutating func leavesPortToQemuAgent() -> Bool {
        guard !setup.isRequired, access(setup.device.string, F_OK) == 0, setup.stockAgent.keepsPort
        else { return false }
        report("\(setup.device): left to qemu-ga; docs/kvm.md says how to switch to quiesced", .info)
        awaitArrival(setup.stockAgent.relaySocket)
        // After a removal of qemu-ga, the socket never appears.
        if nextAttempt == nil { nextAttempt = .now + pauses.takeNext() }
        return true
    }

    /// Waits for the path; without a path, for a pause.
    private mutating func awaitArrival(_ path: FilePath?) {
        arrival = path.flatMap { try? PathArrival(at: $0) }
        nextAttempt = arrival == nil ? .now + pauses.takeNext() : nil
        // The path may have come before the watch.
        if let path, arrival != nil, access(path.string, F_OK) == 0 { nextAttempt = .now }
    }

    /// - Throws: ENOMEM or ENOSPC; the caller closes the port.
    private mutating func begin(_ port: QEMUPort, isKept: Bool) throws(Errno) {
        try poll.add(port.descriptor)
        session = AgentSession(version: Version.current, isSynchronized: isKept)
        session.setOtherAgentInstalled(relay.isInstalled)
        (mayHaveInput, hungUpSince, isClientGone) = (true, nil, false)
        (arrival, lastNote, lastFailure) = (nil, nil, nil)
        // systemd has a kept port already, and warns of a second one.
        if !isKept { setup.keep(port.descriptor) }
        deliver(.note(LogNote(.info, "\(setup.device): serving the guest agent's port")))
        deliver(.registered(isStandIn: port.isStandIn))
    }

    /// At a stop, systemd keeps the port open. With an unwritten reply the port closes, because the next instance does not
    /// have the rest of the reply.
    private mutating func close(_ port: QEMUPort, isLost: Bool) {
        if port.hasOutput || isLost { setup.keep(nil) }
        // No client of a lost port waits for a reply.
        if isLost { unanswered?.write([], isCut: false) }
        poll.remove(port.descriptor)
        port.close()
        relay.drop()
        unanswered?.close()
        unanswered = nil
    }

    /// Other effects need a port.
    private func reportUndelivered(_ effects: [AgentSession.Effect]) {
        for case .undelivered(let reason) in effects { deliver(.thawUndelivered(reason: reason)) }
    }

    private mutating func reportLoss(_ error: ChannelError) {
        mailbox.setMayOpen(false)
        nextAttempt = .now + setup.limits.closed
        pauses.startOver()
        deliver(.lost(reason: error.description))
    }

    // MARK: Notes

    private mutating func note(_ error: Errno) {
        // On most machines there is no port.
        if error == .noSuchFileOrDirectory, !setup.isRequired {
            return report("\(setup.device): there is no guest agent port", .info)
        }
        // The search for the holders of a busy port reads much.
        guard lastFailure != error else { return }
        lastFailure = error
        report(explain(error).description, .warning)
    }

    /// Once for each text.
    private mutating func report(_ text: String, _ level: LogNote.Level) {
        guard lastNote != text else { return }
        lastNote = text
        deliver(.note(LogNote(level, text)))
    }

    private func explain(_ error: Errno) -> ChannelError {
        let (problem, remedy): (String, String) =
            switch error {
            case .noSuchFileOrDirectory:
                (
                    "there is no such port",
                    "Add a channel org.qemu.guest_agent.0 to the virtual machine on its host"
                )
            case .resourceBusy: explainBusy(DeviceHolder.holders(of: setup.device))
            case .operationNotSupportedByDevice:
                ("the path is no character device", "Set qemu.device to the guest agent port")
            default: ("the port cannot be opened: \(error)", "Look at the kernel's log")
            }
        return ChannelError(
            .deviceUnusable, subject: setup.device.escaped, problem: problem, remedy: remedy,
            underlyingError: error)
    }

    private func explainBusy(_ holders: [DeviceHolder]) -> (problem: String, remedy: String) {
        let holder = holders.first { !$0.isForQuiesced } ?? holders.first
        return (
            "\(holder?.description ?? "another process") has the port open", setup.stockAgent.freeingStep(holder)
        )
    }
}

// MARK: - Serving

extension QEMUChannelLoop {
    /// Nil at a stop.
    private mutating func serveUntilLost(_ port: inout QEMUPort) -> ChannelError? {
        do throws(ChannelError) {
            try serve(&port)
            return nil
        } catch {
            return error
        }
    }

    private mutating func serve(_ port: inout QEMUPort) throws(ChannelError) {
        while true {
            let (messages, isStopping) = mailbox.takeMessages()
            for message in messages { perform(effects(of: message), &port) }
            try lookForClient(&port)
            try readRequests(&port)
            for news in relay.work() { perform(effects(of: news), &port) }
            perform(session.timePassed(at: .now), &port)
            try port.writeOutput()
            noteReplies(port)
            if isStopping { return }
            if relay.mayHaveInput || mayHaveInput && session.mayRead && port.mayServe { continue }
            let deadline = [
                session.nextDeadline, isClientGone ? nil : hungUpSince.map { $0 + setup.limits.clientDoubt },
            ]
            let ready = poll.wait(until: deadline.compactMap(\.self).min())
            if ready.contains(port.descriptor) { mayHaveInput = true }
            if let connection = relay.connection, ready.contains(connection) { relay.mayRead() }
        }
    }

    /// Removes requests from the file after the reply is written.
    private mutating func noteReplies(_ port: QEMUPort) {
        if port.hasOutput {
            unanswered?.add(session.unanswered)
            if port.isInsideReply { unanswered?.write(session.unanswered, isCut: true) }
        } else {
            session.repliesAreWritten()
            unanswered?.write(session.unanswered, isCut: false)
        }
    }

    private mutating func effects(of message: ChannelMailbox.Message) -> [AgentSession.Effect] {
        switch message {
        case .answer(let answer):
            session.answered(answer.operation, answer.answer, answer.detail, before: answer.limit, at: .now)
        case .progress(let progress): session.observed(progress, at: .now)
        }
    }

    private mutating func effects(of news: QEMUAgentRelay.News) -> [AgentSession.Effect] {
        switch news {
        case .result(let tag, let result): session.relayed(tag, result, at: .now)
        case .lost: session.relayLost(at: .now)
        }
    }

    private mutating func perform(_ effects: [AgentSession.Effect], _ port: inout QEMUPort) {
        if !effects.isEmpty { unanswered?.add(session.unanswered) }
        for effect in effects {
            switch effect {
            case .send(let bytes): port.add(bytes)
            case .freeze(let operation, let options): deliver(.freeze(operation, options))
            case .thaw(let operation): deliver(.thaw(operation))
            case .undelivered(let reason): deliver(.thawUndelivered(reason: reason))
            case .relay(let request): relay(request, &port)
            }
        }
    }

    private mutating func relay(_ request: AgentRelayRequest, _ port: inout QEMUPort) {
        let failure: AgentError
        // A connection looks a path up (P7).
        if relay.connection == nil, !mailbox.mayOpen {
            failure = AgentError(.generic, "a backup has begun: send \(request.command) again after the backup")
        } else {
            do throws(Errno) {
                let isNew = relay.connection == nil
                try relay.send(request)
                if isNew, let connection = relay.connection { try poll.add(connection) }
                return
            } catch {
                relay.drop()
                failure = AgentError(.generic, "qemu-ga cannot be reached at \(relay.socket): \(error)")
            }
        }
        perform(session.relayed(request.tag, .failed(failure), at: .now), &port)
    }

    private mutating func readRequests(_ port: inout QEMUPort) throws(ChannelError) {
        guard mayHaveInput, session.mayRead, port.mayServe else { return }
        let bytes = try port.read()
        guard !bytes.isEmpty else { return mayHaveInput = false }
        if hungUpSince != nil {
            // The request is from a new client, unless the hang-up lasts.
            (hungUpSince, isClientGone) = (.now, false)
            perform(session.clientIsInDoubt(at: .now), &port)
        }
        // No path is looked up in the window (P7), and no command is relayed.
        if mailbox.mayOpen { session.setOtherAgentInstalled(relay.isInstalled) }
        perform(session.received(bytes, at: .now), &port)
    }

    private mutating func lookForClient(_ port: inout QEMUPort) throws(ChannelError) {
        let (now, state) = (Moment.now, port.state)
        if state.contains(.readable) { mayHaveInput = true }
        guard state.contains(.hangUp) else {
            guard hungUpSince != nil else { return }
            (hungUpSince, isClientGone) = (nil, false)
            return perform(session.clientIsThere(at: now), &port)
        }
        // The other end of a terminal opens once.
        if port.isStandIn { throw port.unusable("the other end hung up") }
        guard let since = hungUpSince else {
            hungUpSince = now
            return perform(session.clientIsInDoubt(at: now), &port)
        }
        guard !isClientGone, now >= since + setup.limits.clientDoubt else { return }
        isClientGone = true
        port.dropOutput()
        perform(session.clientIsGone(at: now), &port)
    }
}
