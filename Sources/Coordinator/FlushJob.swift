import FreezeCore
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Flushes filesystems, all at once, each on a thread of its own: a hanging flush holds up no other flush.
enum FlushJob {
    private static let stackSize = 64 * 1024

    /// - Parameters:
    ///   - opened: Kept open until the last flush has returned.
    ///   - isLast: True for only the filesystems that will be frozen.
    ///   - flushed: Called for each filesystem and pool, on any thread.
    ///   - takeNote: Called with the details of an error.
    ///   - finished: Called after the last flush.
    static func start(
        _ opened: OpenedRequest, isLast: Bool, flushed: @escaping @Sendable (FlushResult) -> Void,
        takeNote: @escaping @Sendable (String) -> Void, finished: @escaping @Sendable () -> Void
    ) {
        let pools = isLast ? [] : ZFSPool.all(in: opened.plan)
        let targets = opened.targets.filter { !isLast || $0.filesystem.action == .freeze }
        let count = targets.count + pools.count
        guard count > 0, let remaining = try? Countdown(from: count) else { return finished() }
        for pool in pools {
            Task.detached {
                let started = Moment.now
                let problem = await pool.sync()
                if let problem { takeNote(problem) }
                flushed(
                    FlushResult(
                        device: pool.device, error: problem.map { _ in .ioError }, started: started,
                        duration: Moment.now - started))
                if remaining.step() { finished() }
            }
        }
        for target in targets {
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
