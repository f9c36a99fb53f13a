import FreezeCore
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Flushes filesystems, all at once, each on a thread of its own: a hanging flush holds up no other flush. The first
/// filesystem of a ZFS pool is flushed when its pool is.
enum FlushJob {
    private static let stackSize = 64 * 1024

    /// - Parameters:
    ///   - opened: Kept open until the last flush has returned.
    ///   - isLast: True for only the filesystems that will be frozen.
    ///   - zpool: The program that syncs a pool.
    ///   - flushed: Called once for each filesystem, on any thread.
    ///   - takeNote: Called with the details of an error.
    ///   - finished: Called after the last flush.
    static func start(
        _ opened: OpenedRequest, isLast: Bool, zpool: FilePath = ZFSPool.program,
        flushed: @escaping @Sendable (FlushResult) -> Void,
        takeNote: @escaping @Sendable (String) -> Void, finished: @escaping @Sendable () -> Void
    ) {
        let pools = ZFSPool.all(in: opened.plan)
        let targets = opened.targets.filter { !isLast || $0.filesystem.action == .freeze }
        guard !targets.isEmpty, let remaining = try? Countdown(from: targets.count) else { return finished() }
        for target in targets {
            let started = Moment.now
            let end: @Sendable (Errno?) -> Void = { error in
                flushed(
                    FlushResult(
                        device: target.filesystem.device, error: error, started: started,
                        duration: Moment.now - started))
                withExtendedLifetime(opened) {}
                if remaining.step() { finished() }
            }
            let flush: @Sendable () -> Void = {
                do throws(Errno) {
                    try target.flush()
                } catch {
                    return end(error)
                }
                guard let pool = pools.first(where: { $0.device == target.filesystem.device }) else {
                    return end(nil)
                }
                Task.detached {
                    let problem = await pool.sync(by: zpool)
                    if let problem { takeNote(problem) }
                    end(problem.map { _ in .ioError })
                }
            }
            do throws(Errno) {
                try OperatingSystemThread.start("flush", stackSize: stackSize, flush)
            } catch {
                end(error)
            }
        }
    }
}
