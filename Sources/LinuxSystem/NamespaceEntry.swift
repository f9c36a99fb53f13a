import FreezeCore
import LinuxCalls
import SystemPackage

/// What a thread that has entered a mount namespace brings back. A process in a chroot does not see all of its
/// namespace, and many daemons are alone in theirs: rtkit-daemon, for one.
struct NamespaceEntry: Sendable {
    /// Entering waits for nobody, unless the namespace's root is on a dead server.
    private static let patience = Duration.seconds(1)

    let watch: MountTableWatch
    let root: MountNamespaceRoot

    /// Enters it on a thread of its own, which is left behind if it hangs.
    ///
    /// - Parameter path: the table's name for errors.
    /// - Returns: or ENOENT or ESRCH if the process has ended or moved on, EPERM if it is not allowed, ETIMEDOUT.
    static func make(
        _ inode: UInt64, of process: ProcessDirectory, proc: FilePath, path: FilePath
    ) -> Result<NamespaceEntry, Errno> {
        let work: @Sendable () -> Result<NamespaceEntry, Errno> = {
            do throws(Errno) {
                let (root, table) = try MountNamespaceRoot.enter(inode, of: process, proc: proc)
                return .success(NamespaceEntry(watch: MountTableWatch(table, path: path), root: root))
            } catch {
                return .failure(error)
            }
        }
        return AbandonableWork.run([work], until: .now + patience)[0] ?? .failure(.timedOut)
    }
}
