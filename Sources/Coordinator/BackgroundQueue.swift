import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// Does what may block, because it writes to a filesystem or a pipe, on a thread of its own, in order, and not while
/// held: log and history are written after the thaw (P7), and one that hangs hangs alone (P9).
final class BackgroundWriter: Sendable {
    private struct Queue {
        var jobs: [@Sendable () -> Void] = []
        var dropped = 0
        var isHeld = false
    }

    /// More than this waits only if the thread hangs; then the newest are dropped.
    private static let capacity = 10_000
    private let queue = Mutex(Queue())
    private let signal = ThreadSemaphore()
    private let onDropped: @Sendable (Int) -> Void

    /// - Parameter onDropped: Called on the thread, before the next job, with how many jobs were dropped.
    init(_ name: String, onDropped: @escaping @Sendable (Int) -> Void = { _ in }) throws(Errno) {
        self.onDropped = onDropped
        try OperatingSystemThread.start(name) { [self] in work() }
    }

    func add(_ job: @escaping @Sendable () -> Void) {
        queue.withLock { queue in
            if queue.jobs.count < Self.capacity { queue.jobs.append(job) } else { queue.dropped += 1 }
        }
        signal.signal()
    }

    /// While held, nothing that is not begun already is begun.
    func setHeld(_ isHeld: Bool) {
        let changed = queue.withLock { queue in
            defer { queue.isHeld = isHeld }
            return queue.isHeld != isHeld
        }
        if changed && !isHeld { signal.signal() }
    }

    /// Waits until everything added so far is done; false if the time ran out.
    func drain(atMost limit: Duration) -> Bool {
        guard let done = try? WakeUp() else { return false }
        add { done.signal() }
        return !pollOne(done.descriptor, events: .readable, atMost: limit).isEmpty
    }

    private func work() {
        while true {
            signal.wait()
            while let (job, dropped) = next() {
                if dropped > 0 { onDropped(dropped) }
                job()
            }
        }
    }

    private func next() -> (job: @Sendable () -> Void, dropped: Int)? {
        queue.withLock { queue in
            guard !queue.isHeld, !queue.jobs.isEmpty else { return nil }
            defer { queue.dropped = 0 }
            return (queue.jobs.removeFirst(), queue.dropped)
        }
    }
}
