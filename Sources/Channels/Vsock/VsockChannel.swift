import ControlProtocol
import FreezeCore
import LinuxCalls
import SystemPackage
import Varlink

/// The Varlink interface for the host, over vsock or a Hyper-V socket: the kernel offers both as one kind of socket.
///
/// A thread accepts the connections, and closes connections of other machines. The calls go to a separate server and
/// desk, so that a flood from the host does not delay the control socket (P9). The desk denies calls reserved for an
/// admin.
public final class VsockChannel: RequestChannel, RequestObserver {
    public struct Setup: Sendable {
        public var port: UInt32
        /// Whether the host may freeze.
        public var mayFreeze = false
        /// Nil if connections need no token.
        public var token: AccessToken?
        /// The context id of the only machine that may connect.
        public var peer = VsockPeer.accepted

        public init(port: UInt32) {
            self.port = port
        }
    }

    public let names = [ChannelID.vsock.name]
    private let mailbox: ChannelMailbox
    private let desk: ControlDesk
    private let loop: VsockChannelLoop
    private let server: VarlinkServer

    /// A connection without a token makes room for a new connection.
    static let mostConnections = 16

    /// - Parameter deliver: Called on the threads of the channel and the server: it must return at once.
    /// - Throws: `.cannotStart` without a free descriptor.
    public convenience init(
        _ setup: Setup, inquiry: any DaemonInquiry, deliver: @escaping @Sendable (ChannelID, ChannelEvent) -> Void
    ) throws(ChannelError) {
        let port = setup.port
        try self.init(setup, inquiry: inquiry, limits: VsockChannelLimits(), deliver: deliver) {
            () throws(Errno) in
            try VsockListener(port: port)
        }
    }

    init(
        _ setup: Setup, inquiry: any DaemonInquiry, limits: VsockChannelLimits,
        deliver: @escaping @Sendable (ChannelID, ChannelEvent) -> Void,
        listen: @escaping @Sendable () throws(Errno) -> any VsockAccepting
    ) throws(ChannelError) {
        do throws(Errno) {
            mailbox = try ChannelMailbox()
        } catch {
            throw .cannotStart("vsock channel", error)
        }
        let notes = ControlNotes("vsock") { deliver(.vsock, .note($0)) }
        let authenticator = setup.token.map { [mailbox] token in
            TokenAuthenticator(token, waking: mailbox.wakeUp, notes: notes)
        }
        desk = ControlDesk(
            inquiry: inquiry, access: .host(mayFreeze: setup.mayFreeze, authenticator), deliver: deliver)
        var serverLimits = VarlinkLimits()
        serverLimits.maximumConnections = Self.mostConnections
        serverLimits.idleTimeout = limits.idleTimeout
        // Of a host that has shown no token yet.
        serverLimits.maximumMessage = limits.longestMessage
        server = VarlinkServer(
            socket: nil,
            service: VarlinkServiceInfo(
                vendor: "quiesce", product: "quiesced", version: Version.current, url: ""),
            interfaces: [VarlinkInterface(description: ControlInterface.description)], servedUsers: [],
            limits: serverLimits, handler: desk, takeNote: { notes.report($0) })
        loop = VsockChannelLoop(
            setup: setup, limits: limits, listen: listen, server: server, authenticator: authenticator,
            notes: notes,
            mailbox: mailbox, deliver: deliver)
    }

    deinit {
        mailbox.stop()
    }

    /// Starts the thread, which listens, and retries without end. Call once.
    ///
    /// - Throws: `.cannotStart` if no thread can be created.
    public func start() throws(ChannelError) {
        do throws(Errno) {
            // The thread reads no request, and hosts send as much as they like.
            try mailbox.startThread("vsock-channel", isUrgent: false) { [loop] in
                var loop = loop
                loop.run()
            }
        } catch {
            throw .cannotStart("vsock channel", error)
        }
    }

    public func answer(
        _ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?
    ) {
        desk.answer(operation, answer, detail, before: limit)
    }

    public func observe(_ progress: RequestProgress) {
        desk.observe(progress)
    }

    /// For a new socket the kernel can load modules from a disk, which may be frozen (P7).
    public func holdOpening() {
        mailbox.setMayOpen(false)
    }

    public func reopen() {
        mailbox.setMayOpen(true)
    }

    /// Returns within two seconds, whatever clients do.
    public func stop() {
        mailbox.stop()
        _ = mailbox.waitUntilEnded(.now + .seconds(2))
    }
}
