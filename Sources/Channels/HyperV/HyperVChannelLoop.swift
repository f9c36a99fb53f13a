import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// What the Hyper-V channel's thread does: open, register, serve, and from the beginning after every loss.
struct HyperVChannelLoop {
    let path: FilePath
    let isRequired: Bool
    let limits: HyperVChannelLimits
    let opening: any HyperVDeviceOpening
    let deliver: @Sendable (ChannelEvent) -> Void
    let mailbox: ChannelMailbox

    private struct Outstanding {
        let id: OperationID
        let message: HyperVMessage
        let expires: Moment
    }

    /// The operation that waits for its answer; the protocol knows no second one.
    private var outstanding: Outstanding?
    private var saidUnknown: Set<HyperVOperation> = []
    private var pauses: RetryPauses
    private var nextAttempt = Moment.now
    private var registered = Moment.now
    private var failures = HyperVOpeningFailures()
    /// Tells when the device comes, as long as there is none.
    private var arrival: PathArrival?

    init(
        path: FilePath, isRequired: Bool, limits: HyperVChannelLimits, opening: any HyperVDeviceOpening,
        deliver: @escaping @Sendable (ChannelEvent) -> Void, mailbox: ChannelMailbox
    ) {
        self.path = path
        self.isRequired = isRequired
        self.limits = limits
        self.opening = opening
        self.deliver = deliver
        self.mailbox = mailbox
        pauses = RetryPauses(first: limits.firstRetry, longest: limits.longestRetry)
    }

    mutating func run() {
        while waitUntilDue() {
            guard isSettled(), var device = openDevice() else { continue }
            guard register(&device) else {
                device.close()
                continue
            }
            let loss = serveUntilLost(&device)
            // First of all: the driver can be unloaded, and fails a pending request, only when we close.
            device.close()
            if let loss { lose(loss) }
        }
    }

    /// Waits until the device may be opened and the pause is over; false when it is time to stop.
    private mutating func waitUntilDue() -> Bool {
        while true {
            // What was answered meanwhile belongs to operations that are lost.
            if mailbox.takeMessages().isStopping { return false }
            let mayOpen = mailbox.mayOpen
            if mayOpen && .now >= nextAttempt { return true }
            let ready = pollDescriptors(
                [(mailbox.wakeUp.descriptor, .readable), (mayOpen ? arrival?.descriptor : nil, .readable)],
                until: mayOpen ? nextAttempt : nil)
            // Meanwhile a window may have begun, in which nothing is opened.
            if !ready[1].isEmpty, mailbox.mayOpen { lookAtArrival() }
        }
    }

    private mutating func awaitArrival() {
        arrival = try? PathArrival(at: path)
        // It may have come in between.
        if access(path.string, F_OK) == 0 { nextAttempt = .now }
    }

    private mutating func lookAtArrival() {
        do throws(Errno) {
            if try arrival?.hasComeNearer() == true { nextAttempt = .now }
        } catch {
            // No more watches: the pauses remain.
            arrival = nil
        }
    }
}

// MARK: - Opening

extension HyperVChannelLoop {
    /// Whether the driver is done with making the device; if it is not, the next attempt is when it will be.
    private mutating func isSettled() -> Bool {
        guard let age = opening.age(of: path), age < limits.settling else { return true }
        nextAttempt = .now + (limits.settling - age)
        return false
    }

    private mutating func openDevice() -> HyperVDevice? {
        do throws(Errno) {
            let device = try HyperVDevice(path: path, opening: opening)
            arrival = nil
            return device
        } catch {
            // Whose descriptor it is takes a walk through /proc: only when it will be said.
            if failures.isNews(.opening(error)) {
                let holders = error == .resourceBusy ? opening.holders(of: path) : []
                // Asked to use the device if it is there, on a machine that has none: nothing is wrong.
                let isInOrder = error == .noSuchFileOrDirectory && !isRequired
                note(
                    isInOrder ? .info : .warning,
                    HyperVOpeningFailures.explain(error, device: path, holders: holders).description)
            }
            nextAttempt = .now + pauses.takeNext()
            if error != .noSuchFileOrDirectory { arrival = nil } else if arrival == nil { awaitArrival() }
            return nil
        }
    }

    /// The handshake; false if it failed and is to be tried again.
    private mutating func register(_ device: inout HyperVDevice) -> Bool {
        do throws(ChannelError) {
            guard let version = try exchangeVersions(&device) else { return false }
            note(.info, failures.success(device: path, version: version))
        } catch {
            if failures.isNews(.registering(error)) { note(.warning, error.description) }
            nextAttempt = .now + pauses.takeNext()
            return false
        }
        failures = HyperVOpeningFailures()
        registered = .now
        deliver(.registered(isStandIn: device.isStandIn))
        return true
    }

    /// Nil when it is time to stop.
    private mutating func exchangeVersions(_ device: inout HyperVDevice) throws(ChannelError) -> HyperVVersion? {
        try device.write(HyperVMessage.registration.bytes)
        let deadline = Moment.now + limits.handshake
        while true {
            if let bytes = device.takeBytes(HyperVVersion.length) { return try HyperVVersion(bytes) }
            if mailbox.takeMessages().isStopping { return nil }
            guard .now < deadline else {
                throw device.unusable("no reply to the registration within \(limits.handshake)")
            }
            if try device.isReadable(wait(for: device, until: deadline)) {
                try device.readMore(expecting: HyperVVersion.length)
            }
        }
    }

    /// Waits for the device or the mailbox. Returns what poll(2) said of the device.
    private func wait(for device: HyperVDevice, until deadline: Moment?) -> PollEvents {
        pollDescriptors(
            [(mailbox.wakeUp.descriptor, .readable), (device.descriptor, .readable)], until: deadline)[1]
    }
}

// MARK: - Serving

extension HyperVChannelLoop {
    /// Nil when it ended because it is time to stop.
    private mutating func serveUntilLost(_ device: inout HyperVDevice) -> ChannelError? {
        do throws(ChannelError) {
            try serve(&device)
            return nil
        } catch {
            return error
        }
    }

    /// Passes operations on and answers back; returns when it is time to stop, throws when the host is lost.
    private mutating func serve(_ device: inout HyperVDevice) throws(ChannelError) {
        while true {
            let (messages, isStopping) = mailbox.takeMessages()
            for case .answer(let answer) in messages { try write(answer, to: device) }
            if isStopping { return }
            if outstanding == nil, let bytes = device.takeBytes(HyperVMessage.length) {
                try receive(try HyperVMessage(bytes), from: device)
                continue
            }
            // A stand-in may have merged the next message with the outstanding one.
            if let outstanding, device.hasLeftovers { throw overtaken(outstanding, device) }
            try checkDeadlines(device)
            let deadline = outstanding?.expires ?? device.partialSince.map { $0 + limits.partialMessage }
            guard try device.isReadable(wait(for: device, until: deadline)) else { continue }
            if let outstanding { throw overtaken(outstanding, device) }
            try device.readMore(expecting: HyperVMessage.length)
        }
    }

    private func checkDeadlines(_ device: HyperVDevice) throws(ChannelError) {
        if let outstanding, .now >= outstanding.expires { throw late(outstanding, device) }
        if let since = device.partialSince, .now >= since + limits.partialMessage {
            throw .malformedMessage("\(path) began a message and did not finish it in \(limits.partialMessage)")
        }
    }

    private mutating func receive(_ message: HyperVMessage, from device: HyperVDevice) throws(ChannelError) {
        let id = OperationID.next()
        let operation = message.operation
        outstanding = Outstanding(id: id, message: message, expires: .now + limits.age(of: operation))
        switch operation {
        case .hotBackup: deliver(.hotBackup(id))
        case .freeze: deliver(.freeze(id))
        case .thaw: deliver(.thaw(id))
        default:
            // As the stock daemon does: an operation it need not understand is none of its business.
            try write(
                ChannelMailbox.Answer(operation: id, answer: .success, detail: AnswerDetail(), limit: nil),
                to: device)
            if saidUnknown.insert(operation).inserted {
                note(
                    .warning,
                    "\(path): the host sent unknown operation \(operation.rawValue); answered with success")
            }
        }
    }

    /// Writes an answer if it is still in time: see `HyperVChannel`.
    private mutating func write(_ answer: ChannelMailbox.Answer, to device: HyperVDevice) throws(ChannelError) {
        guard let outstanding, outstanding.id == answer.operation else {
            return note(.debug, "\(path): the answer to \(answer.operation) came when nobody waited for it")
        }
        guard .now < outstanding.expires else { throw late(outstanding, device) }
        guard answer.limit.map({ .now < $0 }) ?? true else {
            throw device.unusable("this process stood still until its answer was true no more")
        }
        guard try !device.hasInput() else { throw overtaken(outstanding, device) }
        let status: HyperVStatus = answer.answer == .success ? .success : .failure
        try device.write(outstanding.message.answered(with: status).bytes)
        self.outstanding = nil
        pauses.startOver()
    }

    private func late(_ outstanding: Outstanding, _ device: HyperVDevice) -> ChannelError {
        let limit = limits.age(of: outstanding.message.operation)
        return device.unusable(
            "\(outstanding.message.operation) is older than \(limit): an answer would be too late")
    }

    /// The driver has given up on the operation, or fakes a THAW because the machine is being suspended.
    private func overtaken(_ outstanding: Outstanding, _ device: HyperVDevice) -> ChannelError {
        device.unusable("a new message came before \(outstanding.message.operation) was answered")
    }

    private mutating func lose(_ error: ChannelError) {
        outstanding = nil
        mailbox.setMayOpen(false)
        // What has worked for so long is not broken: the driver was unloaded, or the machine suspended.
        if .now - registered >= limits.longestRetry { pauses.startOver() }
        nextAttempt = .now + pauses.takeNext()
        if error.code == .malformedMessage { note(.warning, error.description) }
        deliver(.lost(reason: error.description))
    }

    private func note(_ level: LogNote.Level, _ message: String) {
        deliver(.note(LogNote(level, message)))
    }
}
