import ControlProtocol
import FreezeCore
import LinuxCalls
import SystemPackage
import Varlink

/// The control socket as a source of requests, and as a window on the daemon: `quiescectl` speaks to it, and whoever
/// else speaks Varlink. Only root gets an answer.
///
/// Nothing here blocks, logs, or opens a path after the start (P7, P9): what it is asked it passes on, and answers when
/// the answer comes.
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

    /// Listens. A socket that cannot be made is noted, and told as a loss: backups go on without it.
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

    /// What is open stays open, and nothing else ever is.
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
