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
    static func start(
        _ filesystems: [PlannedFilesystem], in opened: OpenedRequest, zpool: FilePath = ZFSPool.program,
        flushed: @escaping @Sendable (DeviceNumber, TimedResult) -> Void,
        takeNote: @escaping @Sendable (String) -> Void
    ) {
        let pools = ZFSPool.all(of: filesystems)
        for filesystem in filesystems {
            let pool = pools.first { $0.device == filesystem.device }
            let started = Moment.now
            let end: @Sendable (Errno?) -> Void = { error in
                flushed(filesystem.device, TimedResult(error: error, started: started, ended: .now))
            }
            guard let target = opened.targets.first(where: { $0.filesystem.device == filesystem.device }) else {
                end(.badFileDescriptor)
                continue
            }
            do throws(Errno) {
                // A small stack is enough for one system call, but not for the start of a program.
                try OperatingSystemThread.start("flush", stackSize: pool == nil ? stackSize : nil) {
                    do throws(Errno) {
                        try target.flush()
                    } catch {
                        return end(error)
                    }
                    let problem = opened.isWithdrawn ? nil : pool?.sync(by: zpool)
                    if let problem { takeNote(problem) }
                    end(problem.map { _ in .ioError })
                }
            } catch {
                end(error)
            }
        }
    }
}
