import Glibc
import Synchronization

/// A place where a test has this process stand still, so as to hurt it exactly there. In debug builds only.
///
/// The test makes a file with the point's name in the directory that the environment names. Whoever reaches the point
/// takes the file away and sends itself SIGSTOP: one file stops one process, once.
public enum StopPoint {
    public static func reach(_ name: @autoclosure () -> String) {
        #if DEBUG
            guard let directory, unlink("\(directory)/\(name())") == 0 else { return }
            raise(SIGSTOP)
        #endif
    }

    /// Has threads that would do this at the same time do it one after the other, so that there is a place between them.
    public static func inTurn<Value>(_ work: () -> Value) -> Value {
        #if DEBUG
            if directory != nil { return turn.withLock { _ in work() } }
        #endif
        return work()
    }

    /// What a process that is started needs in its environment to have the same points.
    public static var environment: [String: String] {
        #if DEBUG
            if let directory { return [variable: directory] }
        #endif
        return [:]
    }

    /// What a sandbox has to allow for it (seccomp(2)): unlink, by either name, and raise.
    public static var systemCalls: [String] {
        #if DEBUG
            if directory != nil { return ["unlink", "unlinkat", "tgkill"] }
        #endif
        return []
    }

    #if DEBUG
        public static let variable = "QUIESCE_STOP_POINTS"
        private static let directory = getenv(variable).map { String(cString: $0) }
        private static let turn = Mutex(())
    #endif
}
