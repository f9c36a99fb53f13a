/// The driver's side of hv_snapshot.c as a state machine: what it makes of the daemon's messages. No I/O.
struct HyperVHostState: Sendable {
    struct Request: Sendable {
        let number: Int
        let operation: HyperVOperation
    }

    /// HVUTIL_DEVICE_INIT, HVUTIL_READY, HVUTIL_USERSPACE_REQ.
    enum Phase: Sendable {
        case unregistered
        case ready
        case waiting(Request)
    }

    private(set) var phase = Phase.unregistered
    private(set) var events: [HyperVHostEvent] = []
    private(set) var registrations = 0
    private var outcomes: [Int: HyperVHostAnswer.Outcome] = [:]
    private var requests = 0
    var isClosed = false

    var isRegistered: Bool {
        if case .unregistered = phase { false } else { true }
    }

    /// Begins an operation; its number, or nil while another is outstanding.
    mutating func begin(_ operation: HyperVOperation) -> Int? {
        if case .waiting = phase { return nil }
        requests += 1
        if case .unregistered = phase {
            outcomes[requests] = .notRegistered
        } else {
            phase = .waiting(Request(number: requests, operation: operation))
        }
        return requests
    }

    func outcome(of number: Int) -> HyperVHostAnswer.Outcome? { outcomes[number] }

    /// A message of the daemon. True if it is to be replied to with a version.
    mutating func receive(_ message: HyperVMessage) -> Bool {
        switch (message.operation, phase) {
        case (.register, _), (.oldRegister, _):
            // The driver refuses a registration while a request is outstanding. On a pty it means that the daemon
            // has closed and opened again, quicker than one can see: the request failed when it closed.
            if isRegistered { depart() }
            phase = .ready
            registrations += 1
            events.append(.registered(message.operation))
            return message.operation == .register
        case (_, .waiting(let request)):
            // No id connects question and answer: whatever comes now is the answer.
            finish(request, .answered(message))
            events.append(.answered(request.operation, message))
        case (_, .ready), (_, .unregistered):
            events.append(.unexpected(message))
        }
        return false
    }

    /// The driver's patience with the operation is over.
    mutating func giveUp(_ number: Int) {
        guard case .waiting(let request) = phase, request.number == number else { return }
        finish(request, .timedOut)
        events.append(.timedOut(request.operation))
    }

    /// The daemon closed the device (hvt_op_release).
    mutating func depart() {
        guard isRegistered else { return }
        if case .waiting(let request) = phase { finish(request, .departed) }
        phase = .unregistered
        events.append(.departed)
    }

    private mutating func finish(_ request: Request, _ outcome: HyperVHostAnswer.Outcome) {
        outcomes[request.number] = outcome
        phase = .ready
    }
}
