import FreezeCore
import Synchronization
import SystemPackage

/// Tells the last of several threads that it is the last, and lets another wait for it.
public final class Countdown: Sendable {
    private let remaining: Atomic<Int>
    private let wakeUp: WakeUp

    public init(from count: Int) throws(Errno) {
        remaining = Atomic(count)
        wakeUp = try WakeUp()
    }

    /// Counts one thread as done; true for the last thread.
    public func countDown() -> Bool {
        let isLast = remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
        if isLast { wakeUp.signal() }
        return isLast
    }

    /// Waits until all are done; false if the time ran out first.
    public func wait(until deadline: Moment) -> Bool {
        !pollDescriptors([(wakeUp.descriptor, .readable)], until: deadline)[0].isEmpty
    }
}
