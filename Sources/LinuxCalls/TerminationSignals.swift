import Glibc
import SystemPackage

/// The signals that ask a daemon to end in order (signal(7)).
public enum TerminationSignals {
    /// In the calling thread and in all that it starts from now on these signals end nothing: they wait to be taken.
    /// Before the first thread.
    public static func block() {
        var set = all
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// Calls the body at the first of them, on a thread of its own; at once if one has come since `block`.
    ///
    /// - Throws: EAGAIN when the system has no more threads to give.
    public static func onFirst(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        try OperatingSystemThread.start("signals") {
            var set = all
            var number: CInt = 0
            // Fails only for a set of signals that there are none of.
            sigwait(&set, &number)
            body()
        }
    }

    private static var all: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in [SIGTERM, SIGINT, SIGHUP, SIGQUIT] { sigaddset(&set, number) }
        return set
    }
}
