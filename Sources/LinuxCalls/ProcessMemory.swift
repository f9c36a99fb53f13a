import CLinux
import Glibc
import SystemPackage

/// What a process does at its start so that it never has to wait for memory. The order matters: arenas and stacks are
/// made small before there are any, and then locked.
public enum ProcessMemory {
    /// One arena for all threads (mallopt(3), M_ARENA_MAX): each would be locked whole. Before the first thread.
    ///
    /// - Throws: EINVAL if the C library refuses it.
    public static func limitArenas() throws(Errno) {
        try Errno.check(clinux_limit_malloc_arenas())
    }

    /// The stack of every thread that is started from now on without a size of its own
    /// (pthread_setattr_default_np(3)). The usual 8 MiB would be locked for each.
    ///
    /// - Parameter bytes: At least PTHREAD_STACK_MIN, 16 KiB.
    /// - Throws: EINVAL if that is too small, ENOMEM.
    public static func setDefaultStackSize(_ bytes: Int) throws(Errno) {
        try Errno.check(clinux_set_default_stack_size(bytes))
    }

    /// Lets this process lock as much as it likes, with or without CAP_IPC_LOCK (RLIMIT_MEMLOCK).
    ///
    /// - Returns: False without CAP_SYS_RESOURCE, if there is a limit.
    public static func allowLockingAll() -> Bool {
        clinux_allow_locking_all() == 0
    }

    /// Keeps everything in memory that is there, and whatever comes (mlockall(2)): a page that has to be read from a
    /// frozen filesystem's device, or written there to make room, comes too late.
    ///
    /// - Throws: EPERM without CAP_IPC_LOCK, ENOMEM if RLIMIT_MEMLOCK is too low.
    public static func lockAll() throws(Errno) {
        guard mlockall(MCL_CURRENT | MCL_FUTURE) == 0 else { throw Errno(rawValue: errno) }
    }
}
