import FreezeCore
import Glibc
import SystemPackage

extension ProcessHandle {
    /// Whether its main thread is gone, though another one may still hang in the kernel: nothing of its program runs
    /// any more.
    public var isDying: Bool {
        if hasEnded { return true }
        guard let status = try? readWholeFile(FilePath("/proc/\(identity.processID)/stat")),
            // The command name may hold anything, also blanks and parentheses: fields are counted after the last one.
            let nameEnd = status.lastIndex(of: UInt8(ascii: ")")), status.count > nameEnd + 2
        else { return hasEnded }
        // The state: a zombie, or a dead one (proc_pid_stat(5)).
        return status[nameEnd + 2] == UInt8(ascii: "Z") || status[nameEnd + 2] == UInt8(ascii: "X")
    }

    /// Kills it, and waits until nothing of its program runs any more; that takes no longer than a system call does
    /// to notice.
    public func kill(within limit: Duration) {
        try? send(signal: SIGKILL)
        let deadline = Moment.now + limit
        while !isDying, Moment.now < deadline { _ = waitForEnd(atMost: .milliseconds(2)) }
    }
}
