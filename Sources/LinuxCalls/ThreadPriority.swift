import Glibc

/// When a thread has its turn (nice(2)). On Linux that is the thread's own, and of those that it starts.
public enum ThreadPriority {
    /// Before everything that runs at the usual 0: for who is waited for by all that write.
    public static let raised: CInt = -10

    /// The calling thread's.
    public static var current: CInt { getpriority(which, 0) }

    /// Gives the calling thread another one. Without the right to it (CAP_SYS_NICE) it stays as it is.
    public static func set(_ nice: CInt) {
        _ = setpriority(which, 0, nice)
    }

    private static let which = __priority_which_t(PRIO_PROCESS.rawValue)
}
