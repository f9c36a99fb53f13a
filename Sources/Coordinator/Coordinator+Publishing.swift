import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// The state for the host. The publisher has a separate thread, because the pool may hang or be locked.
extension Coordinator {
    func publish(isLast: Bool) {
        guard let publishing else { return mailbox.post(.publicationEnded(isDone: true)) }
        let report = StateReport(
            requests: recentRequests, attention: machine.attention.map(\.hook),
            daemon: isLast ? .stopped : machine.policy.isDryRun ? .dryRun : .running,
            time: WallClock.current().wallTime)
        let order = Publishing.Order()
        publishing.order = order
        let (publisher, mailbox) = (publishing.publisher, mailbox)
        publishing.queue.add(.writes) {
            let result = publisher.publish(report) { order.isCancelled.load(ordering: .relaxed) }
            for note in result.notes { mailbox.post(.note(note)) }
            mailbox.post(.publicationEnded(isDone: result.isDone))
        }
    }

    func cancelPublication() {
        publishing?.order?.isCancelled.store(true, ordering: .relaxed)
    }
}

/// The publisher, its thread, and its last order.
final class Publishing {
    /// Read by the publisher's thread before each step.
    final class Order: Sendable {
        let isCancelled = Atomic(false)
    }

    /// The pause after a failed publication. A missing pool file may appear, and a lock may be released.
    static let retryPause = Duration.seconds(60)

    let publisher: any StatePublisher
    let queue: BackgroundQueue
    var order: Order?

    init(_ publisher: any StatePublisher) throws(Errno) {
        self.publisher = publisher
        queue = try BackgroundQueue("publisher")
    }
}
