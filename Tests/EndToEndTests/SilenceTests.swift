import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// P7, as strace sees it: from the first FIFREEZE to the last FITHAW daemon and freezer do nothing that could wait for
/// what is frozen, nor anything that would change it.
extension EndToEnd {
    @Suite struct SilenceTests {
        private let filesystems: [ScratchFilesystem]
        /// On `/`, which is frozen.
        private let pool: ScratchPool
        private let rig: DaemonRig

        /// Several filesystems on two steps: the second is stored on the first, and both on a tmpfs; and the root.
        init() throws {
            let outer = try ScratchFilesystem(.xfs)
            let inner = try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint))
            filesystems = [inner, outer, try ScratchFilesystem(.ext4), try ScratchFilesystem(.btrfs)]
            for filesystem in filesystems { try Self.tellUdev(of: filesystem.device) }
            pool = try ScratchPool()
            rig = try DaemonRig(
                configuration: [
                    "freeze": "timeout = \"8s\"\nmax_window = \"12s\"", "kvp": pool.configuration,
                ],
                hooks: ["10-trace": "echo \"$1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"],
                agentPort: .kept)
            try rig.waitForSocket()
            try pool.wait(for: "attention") { _ in true }
        }

        /// As on a machine with udev: then no device is read. Under strace that takes longer than a plan waits for it.
        private static func tellUdev(of device: FilePath) throws {
            try RunningProgram.output(
                of: "sh",
                [
                    "-c",
                    """
                    mkdir -p /run/udev/data
                    blkid -p -o udev \(device) | sed s/^/E:/ \\
                        > /run/udev/data/b$(lsblk --nodeps --noheadings --output MAJ:MIN \(device) | tr -d ' ')
                    """,
                ])
        }

        private var mountPoints: [FilePath] { filesystems.map(\.mountPoint) + ["/"] }

        private func attach() throws -> SystemCallTrace {
            try SystemCallTrace([rig.daemon.processIdentifier, rig.freezerProcess()])
        }

        /// FREEZE as the host asks for it, with a look at the machine just before.
        private func freeze(by kind: BackupHostKind = .hyperV) throws {
            if kind == .hyperV { #expect(try rig.hotBackup().status == .success) }
            let answer = try rig.host(kind).freeze()
            #expect(answer.isSuccess, "\(answer), log: \(rig.log)")
            for mountPoint in mountPoints { #expect(try FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
        }

        /// Everything is thawed, and the window was silent.
        private func expectSilence(_ trace: SystemCallTrace, _ what: String) throws {
            for mountPoint in mountPoints { #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
            let window = try #require(try trace.stop().window, "no FIFREEZE and FITHAW were seen")
            #expect(window.count { $0.isIoctl("FIFREEZE") } == mountPoints.count)
            let counts = Dictionary(grouping: window, by: \.name).mapValues(\.count)
            let text = counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { "\($0.key) \($0.value)" }
            print("MEASURED: system calls in the window, \(what): \(text.joined(separator: ", "))")
            for call in window {
                let problem = SilentCall.problem(of: call)
                #expect(problem == nil, "\(problem ?? ""): thread \(call.thread): \(call.name)(\(call.arguments)")
            }
        }

        private func end() throws {
            if rig.daemon.isRunning { #expect(try rig.stop() == .exited(0)) }
            for filesystem in filesystems { try filesystem.remove() }
            try RunningProgram.output(of: "rm", ["-r", "/run/udev"])
        }

        @Test(arguments: BackupHostKind.allCases)
        func `P7 a request of two steps`(by kind: BackupHostKind) throws {
            let trace = try attach()
            try freeze(by: kind)
            #expect(try rig.host(kind).thaw().isSuccess)
            try expectSilence(trace, "request of two steps, \(kind)")
            try end()
        }

        @Test func `P7 a request of one filesystem`() throws {
            let plain = try DaemonRig(configuration: [
                "filesystems": "include = [\"\(filesystems[2].mountPoint)\"]"
            ])
            let trace = try SystemCallTrace([plain.daemon.processIdentifier, plain.freezerProcess()])
            #expect(try plain.freeze().status == .success)
            #expect(try plain.thaw().status == .success)
            let window = try #require(try trace.stop().window)
            #expect(window.count { $0.isIoctl("FIFREEZE") } == 1)
            print("MEASURED: \(window.count) system calls in the window of one filesystem")
            for call in window { #expect(SilentCall.problem(of: call) == nil, "\(call)") }
            #expect(try plain.stop() == .exited(0))
            try end()
        }

        @Test func `P7 P1 a window that ends by max_window`() throws {
            let trace = try attach()
            try freeze()
            try wait(for: "the end of the window", within: .seconds(30)) {
                try rig.traced().contains("thaw failed")
            }
            try expectSilence(trace, "ended by max_window")
            try end()
        }

        @Test func `P7 P1 the freezer is killed, and the daemon thaws`() throws {
            let trace = try attach()
            try freeze()
            kill(try rig.freezerProcess(), SIGKILL)
            try wait(for: "the end of the window") { try rig.traced().contains("thaw failed") }
            try expectSilence(trace, "freezer killed")
            try end()
        }

        @Test func `P7 P1 the daemon is killed, and the freezer thaws`() throws {
            let trace = try attach()
            try freeze()
            let ledger = try CrashScene.ledger(rig)
            rig.daemon.send(SIGKILL)
            try CrashScene.waitForThaw(of: ledger, since: .now, within: .seconds(10))
            try expectSilence(trace, "daemon killed")
            _ = try rig.daemon.waitForExit()
            try end()
        }

        @Test func `P7 P1 the daemon is asked to stop`() throws {
            let trace = try attach()
            try freeze()
            #expect(try rig.stop() == .exited(0))
            try expectSilence(trace, "SIGTERM")
            try end()
        }

        @Test func `P7 P8 P9 clients ask, watch and are refused meanwhile`() throws {
            let trace = try attach()
            let watcher = try RawClient(rig.socket)
            try watcher.send("{\"method\":\"org.quiesce.Control1.Monitor\",\"more\":true}")
            let poll = try StatusPoll(rig)
            try freeze()
            // What asks the history is answered after the window: it is in a file.
            let history = try RawClient(rig.socket)
            try history.send("{\"method\":\"org.quiesce.Control1.History\"}")
            for _ in 0..<3 {
                #expect(try rig.control("status").ending == .exited(0))
                #expect(try rig.control("freeze").ending == .exited(4))
                #expect(try rig.control("thaw").ending == .exited(1))
                #expect(try rig.host.perform(HyperVOperation(rawValue: 77)).status == .success)
            }
            #expect(poll.stop().failure == nil)
            #expect(try rig.thaw().status == .success)
            _ = try history.nextMessage()
            try expectSilence(trace, "clients meanwhile")
            try end()
        }

        @Test func `P7 P8 P9 requests at the guest agent port meanwhile, and qemu-ga receives nothing`() throws {
            let agent = try FakeQemuAgent()
            let port = try rig.agent
            #expect(try port.ask("guest-get-osinfo") == .number(1))
            let received = agent.lines
            let trace = try attach()
            try freeze(by: .qemu)
            for _ in 0..<10 {
                for command in ["guest-ping", "guest-info"] { #expect(try port.ask(command) == .object) }
                #expect(try port.ask("guest-fsfreeze-status") == .text("frozen"))
                let refused = [
                    "guest-fsfreeze-freeze", "guest-fsfreeze-freeze-list", "guest-exec", "guest-get-osinfo",
                    "guest-shutdown",
                ]
                for command in refused {
                    #expect(try port.ask(command).errorClass == AgentHost.Reply.notFound, "\(command)")
                }
                try port.synchronize()
            }
            #expect(try rig.control("freeze").ending == .exited(4))
            #expect(try port.thaw() == .success(filesystems: mountPoints.count))
            try expectSilence(trace, "requests at the guest agent port")
            #expect(agent.lines == received)
            #expect(try port.ask("guest-get-osinfo") == .number(1))
            #expect(agent.connections.count == 1)
            agent.close()
            try end()
        }

        /// Another program holds a lock of the pool, so that the publication after the first request waits.
        @Test func `P7 a publication that waits ends before the window, and is made up for`() throws {
            let holder = try pool.lock()
            #expect(try rig.control("freeze").ending == .exited(0), "log: \(rig.log)")
            #expect(try rig.control("thaw").ending == .exited(0), "log: \(rig.log)")
            let trace = try attach()
            try freeze()
            #expect(try rig.thaw().status == .success)
            try expectSilence(trace, "a publication waits")
            #expect(try pool.bytes.count == 3 * 2560)
            try holder.closeInput()
            try pool.wait(for: "ok") { _ in true }
            try end()
        }

        @Test func `P7 a session hook writes all the time, and dies in the window`() throws {
            // It is traced, too, as the daemon's child: it does nothing but write, and starts no program for it.
            try rig.install(
                hook: "20-chatty.session", "echo $$ > $TRACE.session; echo READY; while :; do echo I am here; done"
            )
            let trace = try attach()
            try freeze()
            try RunningProgram.output(
                of: "kill", ["-KILL", try RunningProgram.output(of: "cat", ["\(rig.trace).session"])])
            try rig.waitForTrace("thaw failed")
            try expectSilence(trace, "a session hook that dies")
            try end()
        }

        /// Something is mounted while one FIFREEZE waits for a writer: the mount table is read once more before the answer.
        @Test func `P7 mounts change meanwhile`() throws {
            let file = filesystems[2].mountPoint.appending("agreed")
            try RunningProgram.output(of: "touch", [file.string])
            let listener = try OpenPermissionListener(file)
            let writer = try listener.addWriter()
            let trace = try attach()
            let answer = PendingAnswer(.freeze, of: rig.host)
            let freezer = try rig.freezerProcess()
            try wait(for: "a FIFREEZE that waits") { try KernelWaits.isInFreeze(freezer) }
            try RunningProgram.output(of: "mount", ["-t", "tmpfs", "none", "/dev/shm"])
            listener.release()
            #expect(try answer.value().status == .success, "log: \(rig.log)")
            // THAW looks for newly writable filesystems.
            try RunningProgram.output(of: "mount", ["-t", "tmpfs", "none", "/dev/shm"])
            #expect(try rig.thaw().status == .success)
            try expectSilence(trace, "mounts change")
            try RunningProgram.output(of: "umount", ["/dev/shm"])
            #expect(try writer.waitForExit() == .exited(0))
            try RunningProgram.output(of: "umount", ["/dev/shm"])
            try end()
        }
    }
}

/// What is silent: an allow list, and why.
private enum SilentCall {
    /// Memory, time, waiting, threads' own affairs: nothing outside of the process.
    private static let harmless: Set = [
        "futex", "nanosleep", "clock_nanosleep", "clock_gettime", "gettimeofday", "restart_syscall", "sched_yield",
        "sched_getaffinity", "sched_getparam", "sched_getscheduler", "rt_sigprocmask", "rt_sigaction",
        "rt_sigreturn", "rt_sigsuspend", "sigaltstack", "getpid", "gettid", "getuid", "geteuid", "getrandom",
        "munmap", "mprotect", "madvise", "brk", "mremap", "membarrier", "poll", "ppoll", "epoll_wait",
        "epoll_pwait", "epoll_pwait2", "set_robust_list", "rseq", "prctl", "exit", "set_tid_address",
        // The thread that got a signal hands it to the one that waits for signals.
        "tgkill",
    ]
    /// On descriptors that are there; none of them changes a filesystem, or waits for one.
    private static let onDescriptors: Set = [
        "close", "fcntl", "epoll_ctl", "timerfd_settime", "accept4", "accept", "shutdown", "getsockopt",
        "setsockopt",
        "getpeername", "getsockname", "pidfd_send_signal", "waitid", "wait4", "lseek", "dup",
    ]
    private static let writing: Set = ["write", "writev", "sendto", "sendmsg"]
    private static let reading: Set = ["read", "readv", "pread64", "recvfrom", "recvmsg"]
    /// New descriptors that lead to no path.
    private static let making: Set = ["eventfd2", "timerfd_create", "epoll_create1"]

    private static let channels = ["UNIX", "socket:", "pipe:", "anon_inode:", "/dev/pts/"]
    /// Opened before the window: the mount tables, the kernel's line on the freezer, and its counts of what was written.
    private static let tables = ["/proc/", "/sys/devices/"]
    /// In the run directory, on a tmpfs, and opened before the window: the requests at the guest agent port.
    private static let unanswered = "/unanswered"
    /// The kernel's setting that ends with the last FIFREEZE.
    private static let settings = ["/sys/kernel/rcu_expedited"]

    static func problem(of call: SystemCallTrace.Call) -> String? {
        let target = call.target
        func leads(to prefixes: [String]) -> Bool {
            target.map { target in prefixes.contains { target.hasPrefix($0) } } ?? false
        }
        let isUnanswered = target?.prefix { $0 != ">" }.hasSuffix(unanswered) == true && leads(to: ["/run/"])
        switch call.name {
        case "pwrite64", "ftruncate":
            return isUnanswered || leads(to: channels + settings) ? nil : "something is written"
        case "ioctl":
            return call.isIoctl("FIFREEZE") || call.isIoctl("FITHAW") || leads(to: channels)
                ? nil : "an ioctl of another kind"
        case "mmap": return call.arguments.contains("MAP_ANONYMOUS") ? nil : "a file is mapped"
        case "clone", "clone3": return call.arguments.contains("CLONE_THREAD") ? nil : "a process is started"
        case let name where writing.contains(name):
            return leads(to: channels + settings) ? nil : "something is written"
        case let name where reading.contains(name):
            return leads(to: channels + tables) ? nil : "a file is read"
        case let name where harmless.contains(name) || onDescriptors.contains(name) || making.contains(name):
            return nil
        case let name: return "\(name) is not on the list of what is silent"
        }
    }
}
