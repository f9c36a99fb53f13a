import NIOCore
import SystemPackage

/// Waits a little when a connection cannot be accepted: it stays in the queue and would be tried again at once, for
/// ever (accept(2): EMFILE).
final class AcceptBackoff: ChannelDuplexHandler {
    typealias InboundIn = Channel
    typealias OutboundIn = Never

    private static let pause = TimeAmount.milliseconds(100)
    private let takeNote: @Sendable (VarlinkServerNote) -> Void
    private var resumption: Scheduled<Void>?
    private var owesRead = false

    init(takeNote: @escaping @Sendable (VarlinkServerNote) -> Void) {
        self.takeNote = takeNote
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // Errors of accepted connections come by as well, and are no reason to wait.
        guard let error = error as? IOError, resumption == nil else { return }
        takeNote(.cannotAccept(Errno(rawValue: error.errnoCode)))
        resumption = context.eventLoop.assumeIsolated().scheduleTask(in: Self.pause) { [self] in
            resumption = nil
            guard owesRead else { return }
            owesRead = false
            context.read()
        }
    }

    func read(context: ChannelHandlerContext) {
        if resumption == nil {
            context.read()
        } else {
            owesRead = true
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        resumption?.cancel()
        context.fireChannelInactive()
    }
}
