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

    /// Gives the hook the priority, the oom score and the limit of descriptors of a process that nobody has touched.
    /// The daemon's own are those of something that must not be killed or starved and has much open, and they are
    /// inherited. (Programs that use select(2) may fail with a high limit.)
    ///
    /// swift-subprocess lets nothing run between fork and exec, so this is done from outside, an instant after
    /// the start: what the hook starts in this instant keeps the daemon's values. Nothing is done where the
    /// daemon's own are the usual ones.
    func resetWhatIsInherited() {
        // Errors: it has exited already, or we are not root and could not have raised our own either.
        let process = __priority_which_t(PRIO_PROCESS.rawValue)
        if getpriority(process, 0) != 0 { setpriority(process, id_t(leader), 0) }
        if sched_getscheduler(0) != SCHED_OTHER {
            var parameters = sched_param()
            sched_setscheduler(leader, SCHED_OTHER, &parameters)
        }
        let zero = Array("0\n".utf8)
        if let own = try? readWholeFile("/proc/self/oom_score_adj"), own != zero,
            let descriptor = try? openDescriptor(FilePath("/proc/\(leader)/oom_score_adj"), .writeOnly)
        {
            try? writeAll(zero, to: descriptor)
            try? descriptor.close()
        }
        DescriptorLimit.restore(of: leader)
    }
}
