import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// Jobs that may block, because they read or write files or a pipe: done in order, on a thread of their own, and not
/// while held (P7). A job that hangs holds up no other thread (P9).
final class BackgroundQueue: Sendable {
    /// Whether a job reads or writes its filesystem.
    enum Access: Sendable {
        /// Or writes to the run directory, which is never frozen.
        case reads
        /// Hangs while the filesystem is frozen.
        case writes
    }

    /// The jobs that are not begun, from the weakest hold to the strongest.
    enum Hold: Int, Comparable, Sendable {
        case nothing, writes, everything

        static func < (left: Hold, right: Hold) -> Bool { left.rawValue < right.rawValue }

        func covers(_ access: Access) -> Bool {
            switch self {
            case .nothing: false
            case .writes: access == .writes
            case .everything: true
            }
        }
    }

    private struct Job {
        let access: Access
        let work: @Sendable () -> Void
    }

    private struct Queue {
        var jobs: [Job] = []
        var dropped = 0
        var hold = Hold.nothing
    }

    /// More jobs wait only if the thread hangs, or the queue is held for long; then the newest jobs are dropped.
    private static let capacity = 10_000
    private let queue = Mutex(Queue())
    private let signal = ThreadSemaphore()
    private let onDropped: @Sendable (Int) -> Void

    /// - Parameter onDropped: Called on the thread, before the next job, with how many jobs were dropped.
    init(_ name: String, onDropped: @escaping @Sendable (Int) -> Void = { _ in }) throws(Errno) {
        self.onDropped = onDropped
        try OperatingSystemThread.start(name) { [self] in work() }
    }

    func add(_ access: Access, _ work: @escaping @Sendable () -> Void) {
        queue.withLock { queue in
            if queue.jobs.count < Self.capacity {
                queue.jobs.append(Job(access: access, work: work))
            } else {
                queue.dropped += 1
            }
        }
        signal.signal()
    }

    /// Jobs that the hold covers are not begun; other jobs go on, and may overtake them.
    func set(_ hold: Hold) {
        let isWeaker = queue.withLock { queue in
            defer { queue.hold = hold }
            return hold < queue.hold
        }
        if isWeaker { signal.signal() }
    }

    /// Waits until everything added so far is done, but for what is held; false if the time ran out.
    func drain(atMost limit: Duration) -> Bool {
        guard let done = try? WakeUp() else { return false }
        add(.reads) { done.signal() }
        return !pollOne(done.descriptor, events: .readable, atMost: limit).isEmpty
    }

    private func work() {
        while true {
            signal.wait()
            while let (work, dropped) = next() {
                if dropped > 0 { onDropped(dropped) }
                work()
            }
        }
    }

    private func next() -> (work: @Sendable () -> Void, dropped: Int)? {
        queue.withLock { queue in
            guard let index = queue.jobs.firstIndex(where: { !queue.hold.covers($0.access) }) else { return nil }
            defer { queue.dropped = 0 }
            return (queue.jobs.remove(at: index).work, queue.dropped)
        }
    }
}
