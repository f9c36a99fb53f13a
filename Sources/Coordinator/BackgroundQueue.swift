import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// Jobs that may block on files or a pipe: done in order, on a thread of their own, and not while held (P7). A
/// hanging job holds up no other thread (P9).
final class BackgroundQueue: Sendable {
    /// The file access of a job.
    enum Access: Sendable {
        /// Reads, or writes to the run directory. The run directory is never frozen.
        case reads
        /// Hangs while the filesystem is frozen.
        case writes
    }

    /// The jobs not to begin, from the weakest hold to the strongest.
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

    /// - Parameter onDropped: Called on the thread, before the next job, with the number of dropped jobs.
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

    /// Jobs covered by the hold are not begun; other jobs continue, and may overtake held jobs.
    func set(_ hold: Hold) {
        let isWeaker = queue.withLock { queue in
            defer { queue.hold = hold }
            return hold < queue.hold
        }
        if isWeaker { signal.signal() }
    }

    /// Waits until all jobs added so far are done, except held jobs; false if the time ran out.
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
