import FreezeCore
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Flushes filesystems, all at once, each on a thread of its own: a hanging flush holds up no other flush.
enum FlushJob {
    private static let stackSize = 64 * 1024

    /// - Parameters:
    ///   - opened: Kept open until the last flush has returned.
    ///   - flushed: Called for each filesystem, on its thread.
    ///   - finished: Called after the last filesystem.
    static func start(
        _ opened: OpenedRequest, flushed: @escaping @Sendable (FlushResult) -> Void,
        finished: @escaping @Sendable () -> Void
    ) {
        guard !opened.targets.isEmpty, let remaining = try? Countdown(from: opened.targets.count) else {
            return finished()
        }
        for target in opened.targets {
            let flush: @Sendable () -> Void = {
                let started = Moment.now
                var failure: Errno?
                do throws(Errno) {
                    try target.flush()
                } catch {
                    failure = error
                }
                flushed(
                    FlushResult(
                        device: target.filesystem.device, error: failure, started: started,
                        duration: Moment.now - started))
                withExtendedLifetime(opened) {}
                if remaining.step() { finished() }
            }
            do throws(Errno) {
                try OperatingSystemThread.start("flush", stackSize: stackSize, flush)
            } catch {
                flushed(
                    FlushResult(
                        device: target.filesystem.device, error: error, started: Moment.now, duration: .zero))
                if remaining.step() { finished() }
            }
        }
    }
}
