import FreezeCore
import Glibc
import LinuxCalls

/// A running hook that a previous instance of the daemon has started.
///
/// Called for thaw while its freeze goes on, it could end up frozen: it is ended first.
public struct OrphanHook: Sendable {
    private let process: ProcessHandle
    private let group: ProcessGroup

    /// - Parameter process: What was started, which leads a group of its own. Once it has ended, the group's number may
    ///   be anybody's, and what the hook has left behind is let alone.
    public init(_ process: ProcessHandle) {
        self.process = process
        group = ProcessGroup(leader: process.identity.processID)
    }

    /// Sends its group TERM and, if that does not do, KILL, as at a timeout. A session hook, whose standard input has
    /// ended with the daemon, is first given the time to end by itself. Blocks for a few seconds at most.
    ///
    /// - Returns: Whether nothing of it is left. What hangs in the kernel is.
    public func end(_ kind: HookKind = .plain) -> Bool {
        guard !process.hasEnded else { return true }
        if kind == .session, process.waitForEnd(atMost: HookSupervisor.grace) { return true }
        group.signal(SIGTERM)
        if waitUntilGone(atMost: HookSupervisor.grace) { return true }
        group.signal(SIGKILL)
        return waitUntilGone(atMost: HookSupervisor.patience)
    }

    /// Nobody tells when the last of the group is gone.
    private func waitUntilGone(atMost limit: Duration) -> Bool {
        let deadline = Moment.now + limit
        while group.hasLivingMembers {
            guard Moment.now < deadline else { return false }
            _ = pollDescriptors([], until: .now + .milliseconds(20))
        }
        return true
    }
}
