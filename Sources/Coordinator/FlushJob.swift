import FreezeCore
import LinuxCalls
import LinuxSystem
import Synchronization
import SystemPackage

/// Flushes filesystems with syncfs(2), all at once, each on a thread of its own: one that hangs holds up no other.
enum FlushJob {
    private static let stackSize = 64 * 1024

    /// - Parameters:
    ///   - opened: Kept open until the last syncfs has returned.
    ///   - flushed: Called for each filesystem, on its thread.
    ///   - finished: Called after the last of them.
    static func start(
        _ opened: OpenedRequest, flushed: @escaping @Sendable (FlushResult) -> Void,
        finished: @escaping @Sendable () -> Void
    ) {
        guard !opened.targets.isEmpty else { return finished() }
        let remaining = Countdown(from: opened.targets.count)
        for target in opened.targets {
            let flush: @Sendable () -> Void = {
                let started = Moment.now
                var failure: Errno?
                do throws(Errno) {
                    try FilesystemFreezing.flush(target.descriptor)
                } catch {
                    failure = error
                }
                flushed(
                    FlushResult(
                        device: target.filesystem.device, error: failure, started: started,
                        duration: Moment.now - started))
                withExtendedLifetime(opened) {}
                if remaining.isLast() { finished() }
            }
            do throws(Errno) {
                try OperatingSystemThread.start("flush", stackSize: stackSize, flush)
            } catch {
                flushed(
                    FlushResult(
                        device: target.filesystem.device, error: error, started: Moment.now, duration: .zero))
                if remaining.isLast() { finished() }
            }
        }
    }
}

/// Tells the last of several threads that it is the last.
final class Countdown: Sendable {
    private let remaining: Atomic<Int>

    init(from count: Int) {
        remaining = Atomic(count)
    }

    func isLast() -> Bool {
        remaining.subtract(1, ordering: .acquiringAndReleasing).newValue == 0
    }
}
