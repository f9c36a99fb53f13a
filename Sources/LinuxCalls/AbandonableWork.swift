import FreezeCore
import Synchronization
import SystemPackage

/// Runs work that can hang in the kernel (a dead disk, a dead server) on threads that are left behind if it does.
public enum AbandonableWork {
    /// Runs each on a separate thread, all at once, and waits for all, but not past the deadline, nor past the
    /// cancellation.
    ///
    /// - Parameters:
    ///   - cancellation: Readable once cancelled; borrowed. nil for none.
    ///   - stackSize: Of each thread, in bytes; nil for the process's default.
    /// - Returns: the results, in order; nil for work that did not finish, or for which there was no thread.
    public static func run<Output: Sendable>(
        _ work: [@Sendable () -> Output], until deadline: Moment, cancellation: WakeUp? = nil,
        stackSize: Int? = nil
    ) -> [Output?] {
        guard let results = try? Results<Output>() else { return work.map { _ in nil } }
        var started = 0
        for (index, body) in work.enumerated() {
            let isStarted: Void? = try? OperatingSystemThread.start("abandonable", stackSize: stackSize) {
                results.add(body(), at: index)
            }
            if isStarted != nil { started += 1 }
        }
        let finished = results.wait(for: started, until: deadline, cancellation)
        return work.indices.map { finished[$0] }
    }

    /// Shared with the threads, and kept alive by those that are left behind.
    private final class Results<Output: Sendable>: Sendable {
        private let outputs = Mutex<[Int: Output]>([:])
        private let wakeUp: WakeUp

        init() throws(Errno) {
            wakeUp = try WakeUp()
        }

        func add(_ output: Output, at index: Int) {
            outputs.withLock { $0[index] = output }
            wakeUp.signal()
        }

        func wait(for count: Int, until deadline: Moment, _ cancellation: WakeUp?) -> [Int: Output] {
            while true {
                let finished = outputs.withLock { $0 }
                guard finished.count < count, Moment.now < deadline else { return finished }
                let ready = pollDescriptors(
                    [(wakeUp.descriptor, .readable), (cancellation?.descriptor, .readable)], until: deadline)
                guard ready[1].isEmpty else { return outputs.withLock { $0 } }
                wakeUp.clear()
            }
        }
    }
}

/// A descriptor that several threads share: the last one closes the descriptor, also if left behind (``AbandonableWork``).
public final class OwnedDescriptor: Sendable {
    public let descriptor: FileDescriptor

    public init(_ descriptor: FileDescriptor) {
        self.descriptor = descriptor
    }

    deinit { try? descriptor.close() }
}
