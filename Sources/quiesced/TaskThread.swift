import FreezeCore
import LinuxCalls
@_spi(ExperimentalCustomExecutors) @_spi(ExperimentalScheduling) import _Concurrency

/// The thread on which all of Swift's tasks run, in place of the runtime's own pool. Tasks only wait for hooks and
/// for the control socket: whatever may block has a thread of its own.
///
/// The runtime's pool is libdispatch's, which looks after its threads once a second as soon as it ever had one: a machine
/// that sleeps would be woken for nothing. To replace it is not yet part of Swift's public interface (Swift 6.3; "Custom
/// Main and Global Executors").
final class TaskThread: TaskExecutor {
    private struct Queue {
        var ready: [UnownedJob] = []
        /// The one that is due next comes last.
        var delayed: [(due: Moment, job: UnownedJob)] = []
    }

    private let queue = Monitor(Queue())

    /// Before the first task.
    static func replaceRuntimePool() {
        _createExecutors(factory: Executors.self)
    }

    private struct Executors: ExecutorFactory {
        static let mainExecutor: any MainExecutor = UnimplementedMainExecutor()
        static let defaultExecutor: any TaskExecutor = TaskThread()
    }

    private init() {
        do {
            try OperatingSystemThread.start("tasks") { [self] in work() }
        } catch {
            fatalError("the thread of Swift's tasks cannot be started: \(error)")
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        queue.update { $0.ready.append(job) }
    }

    private func work() {
        while true {
            next().runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    /// Blocks until there is a job.
    private func next() -> UnownedJob {
        while true {
            let firstDue = queue.update(\.delayed.last?.due)
            let found = queue.wait(until: firstDue) { queue -> Found? in
                if let delayed = queue.delayed.last, delayed.due <= Moment.now {
                    queue.delayed.removeLast()
                    return .job(delayed.job)
                }
                if !queue.ready.isEmpty { return .job(queue.ready.removeFirst()) }
                return queue.delayed.last?.due == firstDue ? nil : .anotherDeadline
            }
            if case .job(let job) = found { return job }
        }
    }

    private enum Found {
        case job(UnownedJob)
        case anotherDeadline
    }
}

extension TaskThread: SchedulingExecutor {
    /// What Task.sleep comes to.
    func enqueue<SomeClock: Clock>(
        _ job: consuming ExecutorJob, after delay: SomeClock.Duration, tolerance: SomeClock.Duration?,
        clock: SomeClock
    ) {
        // There is no clock here that has durations of another kind.
        let entry = (due: Moment.now + (delay as? Duration ?? .zero), job: UnownedJob(job))
        queue.update { queue in
            let place = queue.delayed.firstIndex { $0.due < entry.due } ?? queue.delayed.endIndex
            queue.delayed.insert(entry, at: place)
        }
    }
}
