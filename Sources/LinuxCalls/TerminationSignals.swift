import CLinux
import SystemPackage

/// The signals that ask a daemon to end in order: SIGTERM, SIGINT, SIGHUP and SIGQUIT (signal(7)).
///
/// They are caught, and not blocked: a library may wait in a thread of its own with no signal blocked, as
/// swift-subprocess does.
public enum TerminationSignals {
    /// Calls the body at the first of them, on a thread of its own. From now on none of them ends the process.
    /// To be called once.
    ///
    /// - Throws: EMFILE or ENFILE without a descriptor, EAGAIN when the system has no more threads to give.
    public static func onFirst(_ body: @escaping @Sendable () -> Void) throws(Errno) {
        let wakeUp = try WakeUp()
        try OperatingSystemThread.start("signals") {
            while pollDescriptors([(wakeUp.descriptor, .readable)], until: nil)[0].isEmpty {}
            body()
            // Later ones are written to it as well.
            withExtendedLifetime(wakeUp) { waitForEver() }
        }
        try Errno.check(clinux_catch_termination(wakeUp.descriptor.rawValue))
    }

    private static func waitForEver() -> Never {
        while true { _ = pollDescriptors([], until: nil) }
    }
}
