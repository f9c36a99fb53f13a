import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// The Hyper-V VSS device as a source of requests: "answers in time or not at all".
///
/// The driver gives up on FREEZE after 900 s and on the rest after 30 s, and then takes a late answer for the answer
/// to the next operation (hv_snapshot.c, vss_on_msg). So before each write the channel looks at the operation's age
/// and at the device; if the answer is late it writes nothing, closes, and says `ChannelEvent.lost`.
///
/// All device work happens on a thread of its own (P9). It never logs: log records are delivered as
/// `ChannelEvent.note`. After a loss it opens the device only when `reopen()` allows it, because nothing is opened
/// while frozen (P7).
public final class HyperVChannel: RequestChannel {
    public let names = [ChannelID.hyperV.name]
    public let device: FilePath
    private let isRequired: Bool
    private let limits: HyperVChannelLimits
    private let opening: any HyperVDeviceOpening
    private let deliver: @Sendable (ChannelEvent) -> Void
    private let mailbox: ChannelMailbox

    /// - Parameters:
    ///   - device: `/dev/vmbus/hv_vss`, or a pty in its place.
    ///   - isRequired: Whether it is worth a warning that there is no such device. If not, that is said once, as
    ///     information. Either way it is looked for again and again, with growing pauses.
    ///   - limits: Only tests need others than the defaults.
    ///   - deliver: Called on the channel's thread, which reads nothing meanwhile: it must return at once.
    /// - Throws: `.systemCall` when there are no more descriptors.
    public convenience init(
        device: FilePath, isRequired: Bool, limits: HyperVChannelLimits = HyperVChannelLimits(),
        deliver: @escaping @Sendable (ChannelEvent) -> Void
    ) throws(ChannelError) {
        try self.init(
            device: device, isRequired: isRequired, limits: limits, opening: SystemDeviceOpening(),
            deliver: deliver)
    }

    init(
        device: FilePath, isRequired: Bool, limits: HyperVChannelLimits, opening: any HyperVDeviceOpening,
        deliver: @escaping @Sendable (ChannelEvent) -> Void
    ) throws(ChannelError) {
        self.device = device
        self.isRequired = isRequired
        self.limits = limits
        self.opening = opening
        self.deliver = deliver
        do throws(Errno) {
            mailbox = try ChannelMailbox()
        } catch {
            throw .cannotStart("Hyper-V channel", error)
        }
    }

    deinit {
        mailbox.stop()
    }

    /// Starts the thread, which opens the device and registers, and tries again for ever. Call it once.
    ///
    /// - Throws: `.systemCall` when there are no more threads.
    public func start() throws(ChannelError) {
        do throws(Errno) {
            try mailbox.startThread("hyperv-channel") { [device, isRequired, limits, opening, deliver, mailbox] in
                var loop = HyperVChannelLoop(
                    path: device, isRequired: isRequired, limits: limits, opening: opening, deliver: deliver,
                    mailbox: mailbox)
                loop.run()
            }
        } catch {
            throw .cannotStart("Hyper-V channel", error)
        }
    }

    public func answer(
        _ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail = AnswerDetail(),
        before limit: Moment? = nil
    ) {
        mailbox.post(
            .answer(ChannelMailbox.Answer(operation: operation, answer: answer, detail: detail, limit: limit)))
    }

    public func holdOpening() {
        mailbox.setMayOpen(false)
    }

    public func reopen() {
        mailbox.setMayOpen(true)
    }

    public func stop() {
        mailbox.stop()
    }

    /// Waits until the thread has ended and the device is closed; false if the moment came first. Blocks: not for
    /// an event loop, nor for `deliver`.
    @discardableResult
    func waitUntilEnded(_ deadline: Moment) -> Bool { mailbox.waitUntilEnded(deadline) }
}
