import Glibc
import LinuxCalls
import SystemPackage

/// A hook and what it has started, as far as it stayed in the hook's process group.
///
/// The group's number is the hook's process id. It can be trusted as long as the hook has not been reaped:
/// until then neither number is given to anybody else.
struct ProcessGroup: Sendable {
    let leader: pid_t

    func signal(_ signal: CInt) {
        // ESRCH: everybody is gone already, which is what was wanted.
        kill(-leader, signal)
    }

    /// Whether anybody in it is alive: zombies, such as the leader before it is reaped, are not. Reads all of
    /// /proc. True if that is not possible: KILL for nobody does no harm.
    var hasLivingMembers: Bool {
        do throws(Errno) {
            for entry in try directoryEntries("/proc") {
                guard let process = pid_t(entry.string), let record = try ProcessRecord.read(process) else {
                    continue
                }
                if record.group == leader, record.isAlive { return true }
            }
            return false
        } catch {
            return true
        }
    }
}
