import FreezeCore
import Glibc
import SystemPackage

extension ProcessHandle {
    /// True if the process has ended, or was killed and ends as soon as the kernel releases the last threads. The
    /// process runs no code any more. False if /proc cannot be read.
    ///
    /// A thread in uninterruptible sleep survives SIGKILL until it wakes up, and keeps every descriptor
    /// and every lock of the process.
    public var isDying: Bool {
        if hasEnded { return true }
        guard let record = (try? ProcessRecord.read(identity.processID)) ?? nil,
            !record.isAlive || record.isExiting
        else { return false }
        // The main thread of a running process may have ended, too.
        return ProcessThreads.areKilled(in: identity.processID) || hasEnded
    }

    /// Whether it stands still, by SIGSTOP or under a debugger (proc_pid_stat(5): T, t).
    public var isStopped: Bool {
        guard let record = (try? ProcessRecord.read(identity.processID)) ?? nil else { return false }
        return !hasEnded && (record.state == "T" || record.state == "t")
    }

    /// Kills it, and waits until nothing of its program runs any more; that takes no longer than a system call does
    /// to notice.
    public func kill(within limit: Duration) {
        try? send(signal: SIGKILL)
        let deadline = Moment.now + limit
        while !isDying, Moment.now < deadline { _ = waitForEnd(atMost: .milliseconds(2)) }
    }
}
