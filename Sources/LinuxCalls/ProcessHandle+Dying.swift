import FreezeCore
import Glibc
import SystemPackage

extension ProcessHandle {
    /// Whether its main thread is gone, though another one may still hang in the kernel: nothing of its program runs
    /// any more.
    public var isDying: Bool {
        guard !hasEnded, let record = (try? ProcessRecord.read(identity.processID)) ?? nil else { return hasEnded }
        return !record.isAlive
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
