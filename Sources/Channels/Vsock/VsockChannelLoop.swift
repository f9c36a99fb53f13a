import FreezeCore
import LinuxCalls
import SystemPackage
import Varlink

/// The loop of the vsock channel's thread: listens, accepts, compares tokens, and listens again after a failure.
struct VsockChannelLoop: Sendable {
    let setup: VsockChannel.Setup
    let limits: VsockChannelLimits
    let listen: @Sendable () throws(Errno) -> any VsockAccepting
    let server: VarlinkServer
    let authenticator: TokenAuthenticator?
    let notes: ControlNotes
    let mailbox: ChannelMailbox
    let deliver: @Sendable (ChannelID, ChannelEvent) -> Void

    private var listener: (any VsockAccepting)?
    private var pauses: RetryPauses
    /// The time of the next attempt to listen or accept.
    private var nextAttempt = Moment.now
    private var lastFailure: Errno?

    init(
        setup: VsockChannel.Setup, limits: VsockChannelLimits,
        listen: @escaping @Sendable () throws(Errno) -> any VsockAccepting, server: VarlinkServer,
        authenticator: TokenAuthenticator?, notes: ControlNotes, mailbox: ChannelMailbox,
        deliver: @escaping @Sendable (ChannelID, ChannelEvent) -> Void
    ) {
        self.setup = setup
        self.limits = limits
        self.listen = listen
        self.server = server
        self.authenticator = authenticator
        self.notes = notes
        self.mailbox = mailbox
        self.deliver = deliver
        pauses = RetryPauses(first: limits.firstRetry, longest: limits.longestRetry)
    }

    mutating func run() {
        do throws(VarlinkError) {
            try server.start()
        } catch {
            // Fails only for an interface without a name.
            return deliver(.vsock, .lost(reason: "\(error)"))
        }
        while !mailbox.takeMessages().isStopping {
            let now = Moment.now
            authenticator?.compareDue(at: now)
            if listener == nil, mailbox.mayOpen, now >= nextAttempt { openListener() }
            let mayAccept = listener != nil && now >= nextAttempt
            let isWaiting = mayAccept || listener == nil && !mailbox.mayOpen
            let ready = pollDescriptors(
                [(mailbox.wakeUp.descriptor, .readable), (mayAccept ? listener?.descriptor : nil, .readable)],
                until: [authenticator?.due, isWaiting ? nil : nextAttempt].compactMap(\.self).min())
            if !ready[1].isEmpty { acceptOne() }
        }
        listener?.close()
        server.stop()
    }

    // MARK: Listening

    private mutating func openListener() {
        do throws(Errno) {
            listener = try listen()
        } catch {
            nextAttempt = .now + pauses.takeNext()
            return tellFailure(error)
        }
        lastFailure = nil
        pauses.startOver()
        note(.info, "vsock: listening on port \(setup.port) for the host")
        deliver(.vsock, .registered(isStandIn: false))
    }

    /// Logs a cause once, until the cause changes or listening succeeds.
    private mutating func tellFailure(_ error: Errno) {
        guard lastFailure != error else { return }
        lastFailure = error
        let (cause, remedy) = Self.explain(error, setup.port)
        note(.warning, "vsock: cannot listen on port \(setup.port): \(cause). \(remedy)")
        deliver(.vsock, .lost(reason: cause))
    }

    static func explain(_ error: Errno, _ port: UInt32) -> (cause: String, remedy: String) {
        switch error {
        case .addressFamilyNotSupported:
            (
                "the kernel has no vsock",
                "Load the module (modprobe vsock), or set vsock.enabled = false; quiesced tries again"
            )
        case .addressInUse:
            (
                "another process listens on the port",
                "Stop that process (ss --vsock --listening --processes), or set vsock.port; quiesced tries again"
            )
        case .permissionDenied:
            (
                "a port below 1024 needs CAP_NET_BIND_SERVICE",
                "Set vsock.port to 1024 or more, or give the service the capability"
            )
        default: ("\(error)", "Wait: quiesced tries again")
        }
    }

    // MARK: Accepting

    private mutating func acceptOne() {
        guard let listener else { return }
        guard server.unseenConnections < limits.mostUnseen else { return nextAttempt = .now + limits.acceptPause }
        do throws(Errno) {
            let (connection, contextID) = try listener.accept()
            guard contextID == setup.peer else {
                try? connection.close()
                return notes.report(
                    "peer", "the machine with the context id \(contextID) was refused: only the host may connect")
            }
            server.serve(connection, from: .machine(contextID: contextID))
        } catch {
            acceptFailed(error)
        }
    }

    private mutating func acceptFailed(_ error: Errno) {
        switch error {
        // The peer has disconnected, or a signal interrupted the call.
        case .resourceTemporarilyUnavailable, .connectionAbort, .socketNotConnected, .connectionReset,
            .interrupted:
            break
        case .tooManyOpenFiles, .tooManyOpenFilesInSystem, .noMemory, .noBufferSpace:
            // The connection stays queued and the listener readable: without a pause the loop would spin.
            nextAttempt = .now + limits.acceptPause
            notes.report(.cannotAccept(error))
        default:
            listener?.close()
            listener = nil
            nextAttempt = .now + pauses.takeNext()
            tellFailure(error)
        }
    }

    private func note(_ level: LogNote.Level, _ text: String) {
        deliver(.vsock, .note(LogNote(level, text)))
    }
}
