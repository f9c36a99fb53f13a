import Glibc
import LinuxCalls
import SystemPackage

/// The process around the service: what makes it fit to stand guard while filesystems are frozen.
public enum FreezerProcess {
    /// Runs the freezer on the connection at standard input until the daemon is gone and everything is thawed.
    ///
    /// - Returns: The exit status.
    public static func main() -> CInt {
        guard isConnection(.standardInput) else {
            complain("this is quiesced's helper; it is started by quiesced and not by hand")
            return 2
        }
        // Deaf to what a shutdown or a terminal sends: its work is over when the daemon is gone, not before.
        for ignored in [SIGTERM, SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2] { signal(ignored, SIG_IGN) }
        do throws(Errno) {
            try ProcessHandle.dieSilentlyWhenCrashing()
            // Before the first thread, and before much is allocated: each stack and each arena would be locked.
            try ProcessMemory.limitArenas()
            try ProcessMemory.setDefaultStackSize(256 * 1024)
            try ProcessMemory.lockAll()
            // In the window all writers wait for it; otherwise it sleeps.
            ThreadPriority.set(ThreadPriority.raised)
            // Two descriptors for each filesystem of a machine that may have many.
            try DescriptorLimit.raise()
            let service = try FreezerService(socket: .standardInput, daemonDeath: try ParentDeath.event())
            try FreezerSandbox.enter()
            service.run()
            return 0
        } catch {
            complain(
                "cannot get ready: \(error); it needs root (CAP_SYS_ADMIN and CAP_IPC_LOCK), and a kernel with seccomp filters"
            )
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
