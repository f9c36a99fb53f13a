import FreezeCore
import Glibc
import LinuxCalls
import LinuxSystem
import SystemPackage

/// QEMU's guest agent port as a source of requests, in place of qemu-ga. Commands unrelated to freezing are relayed to
/// qemu-ga.
///
/// All work with the port happens on a separate thread (P9). The thread never logs: log records are delivered as
/// `ChannelEvent.note`. After a loss the port is opened only after `reopen()`, because no path is opened in the window
/// (P7).
public final class QEMUChannel: RequestChannel, RequestObserver {
    public struct Setup: Sendable {
        /// `/dev/virtio-ports/org.qemu.guest_agent.0`, or a terminal instead.
        public var device: FilePath
        /// Whether a missing port is worth a warning.
        public var isRequired: Bool
        /// The file of unanswered requests; on a tmpfs.
        public var unanswered: FilePath
        /// The open port of the previous instance, from the service manager.
        public var stored: FileDescriptor?
        /// Stores the open port in the service manager, so that a restart does not close the port; nil removes the port.
        public var keep: @Sendable (FileDescriptor?) -> Void
        public var stockAgent = StockAgent()
        public var limits = QEMUChannelLimits()

        public init(
            device: FilePath, isRequired: Bool, unanswered: FilePath, stored: FileDescriptor? = nil,
            keep: @escaping @Sendable (FileDescriptor?) -> Void = { _ in }
        ) {
            self.device = device
            self.isRequired = isRequired
            self.unanswered = unanswered
            self.stored = stored
            self.keep = keep
        }
    }

    public let names = [ChannelID.qemu.name]
    private let setup: Setup
    private let deliver: @Sendable (ChannelEvent) -> Void
    private let mailbox: ChannelMailbox

    /// - Parameter deliver: Called on the thread of the channel: must return at once.
    /// - Throws: `.systemCall` when there are no more descriptors.
    public init(_ setup: Setup, deliver: @escaping @Sendable (ChannelEvent) -> Void) throws(ChannelError) {
        self.setup = setup
        self.deliver = deliver
        do throws(Errno) {
            mailbox = try ChannelMailbox()
        } catch {
            throw .cannotStart("QEMU channel", error)
        }
    }

    deinit {
        mailbox.stop()
    }

    /// Starts the thread. The thread opens the port, and retries without a limit. Call once.
    ///
    /// - Throws: `.systemCall` when there are no more threads or descriptors.
    public func start() throws(ChannelError) {
        do throws(Errno) {
            // The loop belongs to the thread.
            nonisolated(unsafe) var loop = try QEMUChannelLoop(setup, mailbox: mailbox, deliver: deliver)
            try mailbox.startThread("qemu-channel") { loop.run() }
        } catch {
            throw .cannotStart("QEMU channel", error)
        }
    }

    public func answer(
        _ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?
    ) {
        mailbox.post(
            .answer(ChannelMailbox.Answer(operation: operation, answer: answer, detail: detail, limit: limit)))
    }

    /// For the session: the end of a window, and the windows of other channels.
    public func observe(_ progress: RequestProgress) {
        if case .entered = progress.event { mailbox.post(.progress(progress)) }
    }

    public func holdOpening() {
        mailbox.setMayOpen(false)
    }

    public func reopen() {
        mailbox.setMayOpen(true)
    }

    /// Waits for the thread, which may have to report a failure that reached no client.
    public func stop() {
        mailbox.stop()
        waitUntilEnded(.now + .seconds(1))
    }

    /// Waits until the thread has ended and the port is closed; false if the moment came first.
    @discardableResult
    func waitUntilEnded(_ deadline: Moment) -> Bool { mailbox.waitUntilEnded(deadline) }
}
