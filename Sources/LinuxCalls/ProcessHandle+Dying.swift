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

    /// Kills it, and waits until nothing of its program runs any more; that takes no longer than a system call does
    /// to notice.
    public func kill(within limit: Duration) {
        try? send(signal: SIGKILL)
        let deadline = Moment.now + limit
        while !isDying, Moment.now < deadline { _ = waitForEnd(atMost: .milliseconds(2)) }
    }
}
