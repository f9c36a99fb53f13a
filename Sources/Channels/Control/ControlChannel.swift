import ControlProtocol
import FreezeCore
import LinuxCalls
import SystemPackage
import Varlink

/// The control socket: requests, and the status of the daemon, for `quiescectl` and other Varlink clients of root.
///
/// The channel does not block, log, or open a path after the start (P7, P9): the channel passes calls on, and replies
/// when the coordinator has answered.
public final class ControlChannel: RequestChannel, RequestObserver {
    public let names = [ChannelID.control.name, ChannelID.hold(0).name, ChannelID.hooks.name]
    private let server: VarlinkServer
    private let deliver: @Sendable (ChannelID, ChannelEvent) -> Void
    private let desk: ControlDesk

    /// - Parameters:
    ///   - socket: Where to listen. Its directory must be there.
    ///   - deliver: Called on the server's thread: it must return at once.
    public init(
        socket: FilePath, inquiry: any DaemonInquiry,
        deliver: @escaping @Sendable (ChannelID, ChannelEvent) -> Void
    ) {
        self.deliver = deliver
        desk = ControlDesk(inquiry: inquiry, deliver: deliver)
        let notes = ControlNotes("control socket") { deliver(.control, .note($0)) }
        server = VarlinkServer(
            socket: socket,
            service: VarlinkServiceInfo(
                vendor: "quiesce", product: "quiesced", version: Version.current, url: ""),
            interfaces: [VarlinkInterface(description: ControlInterface.description)], handler: desk,
            takeNote: { notes.report($0) })
    }

    /// Listens. If the socket cannot be created, logs an error and reports the loss: backups work without the socket.
    public func start() {
        let (server, deliver) = (server, deliver)
        run {
            do throws(VarlinkError) {
                try server.start()
                deliver(.control, .registered(isStandIn: false))
            } catch {
                Self.tellLoss("\(error)", deliver)
            }
        } orElse: { error in
            Self.tellLoss("there is no thread to start it: \(error)", deliver)
        }
    }

    private static func tellLoss(_ reason: String, _ deliver: @Sendable (ChannelID, ChannelEvent) -> Void) {
        deliver(.control, .note(LogNote(.error, "the control socket is not there: \(reason)")))
        deliver(.control, .lost(reason: reason))
    }

    /// On a thread that may block.
    private func run(_ work: @escaping @Sendable () -> Void, orElse failed: (Errno) -> Void) {
        do throws(Errno) {
            try OperatingSystemThread.start("control", work)
        } catch {
            failed(error)
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

    /// The channel opens no path after the start.
    public func holdOpening() {}
    public func reopen() {}

    /// Bounded: clients do not keep the daemon from ending.
    public func stop() {
        guard let stopped = try? WakeUp() else { return }
        let server = server
        run {
            server.stop()
            stopped.signal()
        } orElse: { _ in
            stopped.signal()
        }
        _ = pollOne(stopped.descriptor, events: .readable, atMost: .seconds(2))
    }
}
