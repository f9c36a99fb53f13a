import CLinux
import Synchronization
import SystemPackage

/// Runs work that can hang in the kernel (a dead disk, a dead server) on threads that are left behind if it does.
public enum AbandonableWork {
    /// Runs each on a thread of its own, all at once, and waits for them, but not past the deadline.
    ///
    /// - Returns: the results, in order; nil for work that did not finish, or for which there was no thread.
    public static func run<Output: Sendable>(
        _ work: [@Sendable () -> Output], within deadline: Duration
    ) -> [Output?] {
        let (seconds, attoseconds) = deadline.components
        let end = clinux_monotonic_clock() + seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        let state = SharedState<Output>()
        var started = 0
        for (index, body) in work.enumerated() {
            let isStarted = startThread {
                let output = body()
                state.results.withLock { $0[index] = output }
                state.post()
            }
            if isStarted { started += 1 }
        }
        for _ in 0..<started where !state.wait(until: end) { break }
        return state.results.withLock { results in work.indices.map { results[$0] } }
    }

    /// Shared with the threads, and kept alive by those that are left behind.
    private final class SharedState<Output: Sendable>: @unchecked Sendable {
        let results = Mutex<[Int: Output]>([:])
        private let semaphore = UnsafeMutablePointer<sem_t>.allocate(capacity: 1)

        init() { sem_init(semaphore, 0, 0) }

        deinit {
            sem_destroy(semaphore)
            semaphore.deallocate()
        }

        func post() { sem_post(semaphore) }

        /// - Returns: false if the time came first.
        func wait(until end: Int64) -> Bool { clinux_semaphore_wait(semaphore, end) == 0 }
    }

    private final class Body {
        let run: @Sendable () -> Void
        init(_ run: @escaping @Sendable () -> Void) { self.run = run }
    }

    private static func startThread(_ run: @escaping @Sendable () -> Void) -> Bool {
        let body = Unmanaged.passRetained(Body(run))
        let status = clinux_start_detached_thread(
            { argument in
                if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
                return nil
            }, body.toOpaque())
        if status != 0 { body.release() }
        return status == 0
    }
}
