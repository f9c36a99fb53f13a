import CLibcap
import CLibseccomp
import CLinux
import Glibc
import LinuxCalls
import SystemPackage

/// What the freezer may still do once it is ready: wait, take orders, freeze and thaw. So whoever gets hold of it gets
/// no file, no process and no network with it.
///
/// What is not allowed is refused with EPERM, and does not kill: a freezer that dies because some C library makes a
/// call that nobody thought of would thaw a good backup.
enum FreezerSandbox {
    /// Shuts the process in, for good. Once it is set up, and before its first thread.
    ///
    /// - Throws: ENOMEM, or EINVAL from a kernel without seccomp filters (CONFIG_SECCOMP_FILTER).
    static func enter() throws(Errno) {
        try dropCapabilities()
        try filterSystemCalls()
    }

    // MARK: Capabilities

    /// FIFREEZE and FITHAW need CAP_SYS_ADMIN. What is allocated from now on is locked: if there is a limit to that,
    /// CAP_IPC_LOCK lifts it.
    private static func dropCapabilities() throws(Errno) {
        let isLockingLimited = !ProcessMemory.allowLockingAll()
        for capability in 0..<cap_max_bits() where cap_drop_bound(capability) != 0 {
            // EPERM, without CAP_SETPCAP: only a program that is executed could get one of these back, and none can be.
            guard errno == EPERM else { throw Errno(rawValue: errno) }
        }
        guard let own = cap_get_proc(), let set = cap_init() else { throw Errno(rawValue: errno) }
        defer { for each in [own, set] { cap_free(UnsafeMutableRawPointer(each)) } }
        // What it does not have it cannot keep: then the first FIFREEZE says so, by the filesystem's name.
        let kept = ([CAP_SYS_ADMIN] + (isLockingLimited ? [CAP_IPC_LOCK] : [])).filter { capability in
            var isThere = CAP_CLEAR
            return cap_get_flag(own, cap_value_t(capability), CAP_PERMITTED, &isThere) == 0 && isThere == CAP_SET
        }
        for flag in [CAP_EFFECTIVE, CAP_PERMITTED] {
            let values = kept.map { cap_value_t($0) }
            guard cap_set_flag(set, flag, CInt(values.count), values, CAP_SET) == 0 else {
                throw Errno(rawValue: errno)
            }
        }
        guard cap_set_proc(set) == 0 else { throw Errno(rawValue: errno) }
    }

    // MARK: System calls

    /// Waiting, time, memory, and a thread's own affairs; reading and writing what is open.
    private static let allowed =
        [
            "read", "write", "sendmsg", "recvmsg", "poll", "ppoll", "timerfd_settime", "close", "fcntl", "fstat",
            "newfstatat", "futex", "restart_syscall", "clock_gettime", "clock_nanosleep", "nanosleep",
            "sched_yield",
            "sched_getaffinity", "getrandom", "munmap", "mremap", "madvise", "brk", "membarrier", "rt_sigprocmask",
            "rt_sigaction", "rt_sigreturn", "sigaltstack", "set_robust_list", "rseq", "getpid", "gettid", "exit",
            "exit_group",
        ] + StopPoint.systemCalls
    private static let freezing = [clinux_freeze_request, clinux_thaw_request]

    private static func filterSystemCalls() throws(Errno) {
        guard let filter = seccomp_init(clibseccomp_refuse()) else { throw .noMemory }
        defer { seccomp_release(filter) }
        for name in allowed { try allow(name, in: filter) }
        for request in freezing { try allow("ioctl", argument: 1, SCMP_CMP_EQ, UInt64(request), in: filter) }
        // Memory, but none that can be executed.
        for name in ["mmap", "mprotect"] {
            try allow(name, argument: 2, SCMP_CMP_MASKED_EQ, UInt64(PROT_EXEC), 0, in: filter)
        }
        try allow("prctl", argument: 0, SCMP_CMP_EQ, UInt64(clinux_name_thread_option), in: filter)
        // Threads, but no processes. A filter cannot see the arguments of clone3: the C library takes clone instead.
        let thread = clinux_clone_thread
        try allow("clone", argument: 0, SCMP_CMP_MASKED_EQ, thread, thread, in: filter)
        try add(clibseccomp_deny_existence(), "clone3", [], to: filter)
        try check(seccomp_load(filter))
    }

    private static func allow(
        _ name: String, argument: UInt32, _ comparison: scmp_compare, _ first: UInt64, _ second: UInt64 = 0,
        in filter: scmp_filter_ctx
    ) throws(Errno) {
        let condition = scmp_arg_cmp(arg: argument, op: comparison, datum_a: first, datum_b: second)
        try add(UInt32(SCMP_ACT_ALLOW), name, [condition], to: filter)
    }

    private static func allow(_ name: String, in filter: scmp_filter_ctx) throws(Errno) {
        try add(UInt32(SCMP_ACT_ALLOW), name, [], to: filter)
    }

    private static func add(
        _ action: UInt32, _ name: String, _ conditions: [scmp_arg_cmp], to filter: scmp_filter_ctx
    ) throws(Errno) {
        // Negative for a call that this architecture does not have, such as poll on arm64: there is nothing to allow.
        let number = seccomp_syscall_resolve_name(name)
        guard number >= 0 else { return }
        try check(seccomp_rule_add_array(filter, action, number, UInt32(conditions.count), conditions))
    }

    /// libseccomp returns the negated errno.
    private static func check(_ result: CInt) throws(Errno) {
        if result < 0 { throw Errno(rawValue: -result) }
    }
}
