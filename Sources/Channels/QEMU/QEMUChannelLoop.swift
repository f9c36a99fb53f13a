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
    /// Nil to wait for the arrival of the port.
    private var nextAttempt: Moment?
    private var saidFailure: Errno?
    /// Tells when the port comes, as long as there is none.
    private var arrival: PathArrival?

    init(
        _ setup: QEMUChannel.Setup, mailbox: ChannelMailbox, deliver: @escaping @Sendable (ChannelEvent) -> Void
    ) throws(Errno) {
        self.setup = setup
        self.mailbox = mailbox
        self.deliver = deliver
        relay = QEMUAgentRelay(socket: setup.relaySocket)
        poll = try EdgePoll()
        try poll.add(mailbox.wakeUp.descriptor)
        pauses = RetryPauses(first: setup.limits.closed, longest: setup.limits.longestRetry)
        // The previous instance may have closed the port just now.
        let mayBeClosedJustNow = setup.stored == nil && access(setup.device.string, F_OK) == 0
        nextAttempt = mayBeClosedJustNow ? .now + setup.limits.closed : .now
    }

    mutating func run() {
        var stored = setup.stored
        while waitUntilDue() {
            guard var port = open(&stored) else { continue }
            let loss = serveUntilLost(&port)
            port.close()
            relay.close()
            unanswered?.close()
            guard let loss else { return }
            lose(loss)
        }
    }

    // MARK: Opening

    /// Waits until the port may be opened; false when it is time to stop.
    private mutating func waitUntilDue() -> Bool {
        while true {
            if mailbox.takeMessages().isStopping { return false }
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
        do throws(Errno) {
            let isKept = stored != nil
            let port: QEMUPort
            if let descriptor = stored {
                stored = nil
                port = try QEMUPort(path: setup.device, owning: descriptor)
            } else {
                port = try QEMUPort.open(setup.device)
            }
            (arrival, saidFailure) = (nil, nil)
            begin(port, isKept: isKept)
            return port
        } catch {
            note(error)
            let isMissing = error == .noSuchFileOrDirectory
            arrival = isMissing ? arrival ?? (try? PathArrival(at: setup.device)) : nil
            nextAttempt = arrival == nil ? .now + pauses.takeNext() : nil
            // The port may have come before the watch.
            if isMissing, access(setup.device.string, F_OK) == 0 { nextAttempt = .now }
            return nil
        }
    }

    private mutating func begin(_ port: QEMUPort, isKept: Bool) {
        session = AgentSession(version: Version.current, isSynchronized: isKept)
        relay = QEMUAgentRelay(socket: setup.relaySocket)
        unanswered = try? UnansweredRequests(setup.unanswered)
        (mayHaveInput, hungUpSince, isClientGone) = (true, nil, false)
        try? poll.add(port.descriptor)
        setup.keep(port.descriptor)
        deliver(.note(LogNote(.info, "\(setup.device): serving the guest agent's port")))
        deliver(.registered(isStandIn: port.isStandIn))
    }

    /// Once for each error.
    private mutating func note(_ error: Errno) {
        guard saidFailure != error else { return }
        saidFailure = error
        // On most machines there is no port, or qemu-ga serves the port.
        let isExpected = [.noSuchFileOrDirectory, .resourceBusy].contains(error) && !setup.isRequired
        let text =
            isExpected && error == .noSuchFileOrDirectory
            ? "\(setup.device): there is no guest agent port" : Self.explain(error, setup.device).description
        deliver(.note(LogNote(isExpected ? .info : .warning, text)))
    }

    private static func explain(_ error: Errno, _ device: FilePath) -> ChannelError {
        let (problem, remedy): (String, String) =
            switch error {
            case .noSuchFileOrDirectory:
                (
                    "there is no such port",
                    "Add a channel org.qemu.guest_agent.0 to the virtual machine on its host"
                )
            case .resourceBusy:
                (
                    holders(of: device) ?? "another process has it open",
                    "Stop and mask that agent: systemctl mask --now qemu-guest-agent.service"
                )
            case .operationNotSupportedByDevice:
                ("it is no character device", "Set qemu.device to the guest agent port")
            default: ("it cannot be opened: \(error)", "Look at the kernel's log")
            }
        return ChannelError(
            .deviceUnusable, subject: device.escaped, problem: problem, remedy: remedy, underlyingError: error)
    }

    private static func holders(of device: FilePath) -> String? {
        let holders = DeviceHolder.holders(of: device)
        guard !holders.isEmpty else { return nil }
        return holders.map(\.description).joined(separator: ", ") + " has it open"
    }

    private mutating func lose(_ error: ChannelError) {
        setup.keep(nil)
        mailbox.setMayOpen(false)
        nextAttempt = .now + setup.limits.closed
        pauses.startOver()
        deliver(.lost(reason: error.description))
    }
}

// MARK: - Serving

extension QEMUChannelLoop {
    /// Nil when it is time to stop.
    private mutating func serveUntilLost(_ port: inout QEMUPort) -> ChannelError? {
        do throws(ChannelError) {
            try serve(&port)
            return nil
        } catch {
            return error
        }
    }

    private mutating func serve(_ port: inout QEMUPort) throws(ChannelError) {
        answerForPredecessor(&port)
        while true {
            let (messages, isStopping) = mailbox.takeMessages()
            for message in messages { perform(effects(of: message), &port) }
            try lookForClient(&port)
            try readRequests(&port)
            for news in relay.work() { perform(effects(of: news), &port) }
            perform(session.timePassed(at: .now), &port)
            unanswered?.write(session.unanswered)
            try port.writeOutput()
            if isStopping { return }
            if mayHaveInput, session.mayRead, port.mayServe { continue }
            let deadline = [
                session.nextDeadline, isClientGone ? nil : hungUpSince.map { $0 + setup.limits.clientDoubt },
            ]
            let ready = poll.wait(until: deadline.compactMap(\.self).min())
            if ready.contains(port.descriptor) { mayHaveInput = true }
        }
    }

    /// A client may wait for the previous instance's reply.
    private mutating func answerForPredecessor(_ port: inout QEMUPort) {
        let error = AgentError(.generic, "quiesced ended before it had a reply")
        if setup.stored != nil {
            for id in unanswered?.left() ?? [] { port.add(AgentReply(.failure(error), id: id).line) }
        }
        unanswered?.write([])
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
        for effect in effects {
            switch effect {
            case .send(let bytes): port.add(bytes)
            case .freeze(let operation, let options): deliver(.freeze(operation, options))
            case .thaw(let operation): deliver(.thaw(operation))
            case .relay(let request):
                do throws(Errno) {
                    let isNew = relay.connection == nil
                    try relay.send(request)
                    if isNew, let connection = relay.connection { try poll.add(connection) }
                } catch {
                    let failure = AgentError(.generic, "qemu-ga cannot be reached at \(relay.socket): \(error)")
                    perform(session.relayed(request.tag, .failed(failure), at: .now), &port)
                }
            }
        }
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
        // In the window no path is looked up, and nothing is relayed.
        if mailbox.mayOpen { session.otherAgentIsInstalled(relay.isInstalled) }
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
        // A terminal whose other end is closed stays so.
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
