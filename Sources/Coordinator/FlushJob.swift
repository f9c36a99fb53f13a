import FreezeCore
import LinuxCalls
import LinuxSystem
import SystemPackage

/// Flushes filesystems in parallel, each on a separate thread: a hanging flush delays no other flush. The first filesystem
/// of a ZFS pool is flushed together with the pool.
enum FlushJob {
    private static let stackSize = 64 * 1024

    /// - Parameters:
    ///   - filesystems: ZFS pools of the filesystems are flushed, too.
    ///   - opened: Kept open until the last flush has returned.
    ///   - zpool: The program that syncs a pool.
    ///   - flushed: Called once for each filesystem, on any thread.
    ///   - takeNote: Called with the details of an error.
    ///   - finished: Called after the last flush.
    static func start(
        _ filesystems: [PlannedFilesystem], in opened: OpenedRequest, zpool: FilePath = ZFSPool.program,
        flushed: @escaping @Sendable (FlushResult) -> Void, takeNote: @escaping @Sendable (String) -> Void,
        finished: @escaping @Sendable () -> Void
    ) {
        let devices = Set(filesystems.map(\.device))
        let pools = ZFSPool.all(of: filesystems)
        let targets = opened.targets.filter { devices.contains($0.filesystem.device) }
        guard !targets.isEmpty, let remaining = try? Countdown(from: targets.count) else { return finished() }
        for target in targets {
            let pool = pools.first { $0.device == target.filesystem.device }
            let started = Moment.now
            let end: @Sendable (Errno?) -> Void = { error in
                flushed(
                    FlushResult(
                        device: target.filesystem.device, error: error, started: started,
                        duration: Moment.now - started))
                withExtendedLifetime(opened) {}
                if remaining.step() { finished() }
            }
            do throws(Errno) {
                // A small stack is enough for one system call, but not for the start of a program.
                try OperatingSystemThread.start("flush", stackSize: pool == nil ? stackSize : nil) {
                    do throws(Errno) {
                        try target.flush()
                    } catch {
                        return end(error)
                    }
                    let problem = pool?.sync(by: zpool)
                    if let problem { takeNote(problem) }
                    end(problem.map { _ in .ioError })
                }
            } catch {
                end(error)
            }
        }
    }
}
