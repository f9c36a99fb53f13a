import CLinux
import Glibc
import LinuxCalls
import SystemPackage

/// The process around the service: what makes it fit to stand guard while filesystems are frozen.
public enum FreezerProcess {
    /// Runs the freezer on the connection at standard input until the daemon is gone and everything is thawed.
    ///
    /// - Returns: The exit status.
    public static func main() -> CInt {
        // Before anything else starts a thread or allocates much: each thread's stack and each arena would be locked.
        _ = clinux_limit_malloc_arenas()
        _ = clinux_set_default_stack_size(256 * 1024)
        guard isConnection(.standardInput) else {
            complain("this is quiesced's helper; it is started by quiesced and not by hand")
            return 2
        }
        // Deaf to what a shutdown or a terminal sends: its work is over when the daemon is gone, not before.
        for ignored in [SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2] { signal(ignored, SIG_IGN) }
        do throws(Errno) {
            try ProcessHandle.dieSilentlyWhenCrashing()
            // A page that has to be read from a frozen filesystem's device, or written there to make room, would
            // come too late.
            guard mlockall(MCL_CURRENT | MCL_FUTURE) == 0 else { throw Errno(rawValue: errno) }
            try FreezerService(socket: .standardInput).run()
            return 0
        } catch {
            complain("cannot get ready: \(error); it needs root (CAP_SYS_ADMIN and CAP_IPC_LOCK)")
            return 1
        }
    }

    private static func isConnection(_ descriptor: FileDescriptor) -> Bool {
        var type: CInt = 0
        var length = socklen_t(MemoryLayout<CInt>.size)
        return getsockopt(descriptor.rawValue, SOL_SOCKET, SO_TYPE, &type, &length) == 0
            && type == CInt(SOCK_SEQPACKET.rawValue)
    }

    private static func complain(_ message: String) {
        try? writeAll(Array("quiesce-freezer: \(message)\n".utf8), to: .standardError)
    }
}
