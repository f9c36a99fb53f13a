import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// A mount namespace of one thread, with a tmpfs to mount things in. It goes away with the thread, and so does every
/// process that was started in it.
struct PrivateNamespace: Sendable {
    /// The table of the thread that asks: /proc/self is the one of the process's first thread.
    static let table: FilePath = "/proc/thread-self/mountinfo"

    let root: FilePath

    /// In the environment of every process that is started here, to find it by, wherever it goes.
    private var mark: String { "QUIESCE_TEST_NAMESPACE=\(root)" }

    /// Runs the body on a thread of its own, in a mount namespace of its own. Everything mounted in it disappears
    /// at the end; nothing of it is ever seen by the machine.
    static func run(_ body: @escaping @Sendable (PrivateNamespace) throws -> Void) throws {
        let directory = FilePath("/tmp/quiesce-\(UUID().uuidString)")
        try FileManager.default.createDirectory(atPath: directory.string, withIntermediateDirectories: false)
        let work: @Sendable () -> Result<Void, any Error> = {
            Result {
                try enter(directory)
                let namespace = PrivateNamespace(root: directory)
                defer { _ = umount2(directory.string, CInt(MNT_DETACH)) }
                let result = Result { try body(namespace) }
                try namespace.endProcesses()
                try result.get()
            }
        }
        let result = AbandonableWork.run([work], until: Moment.now + .seconds(120)).first.flatMap { $0 }
        try #require(result, "it hangs").get()
        try waitUntilUnmounted(directory)
        try FileManager.default.removeItem(atPath: directory.string)
    }

    /// Waits until no mount namespace has the directory as a mount point, also no copy that another test or a daemon
    /// made. The kernel unmounts the mount point of a removed directory in every namespace, with all mounts below, in one
    /// piece. In such a piece a loop device and the filesystem of its image hold each other until the next boot
    /// (fs/namespace.c: __detach_mounts, UMOUNT_CONNECTED).
    private static func waitUntilUnmounted(_ directory: FilePath) throws {
        let deadline = ContinuousClock.now + .seconds(30)
        while try isMounted(directory) {
            try #require(ContinuousClock.now < deadline, "\(directory) is mounted in another namespace, and stays")
            usleep(10_000)
        }
    }

    private static func isMounted(_ directory: FilePath) throws -> Bool {
        try ProcessTable().processIDs().contains { process in
            let tasks = "/proc/\(process)/task"
            return ((try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []).contains { task in
                let table = (try? readWholeFile(FilePath("\(tasks)/\(task)/mountinfo"), limit: 64 << 20)) ?? []
                return String(decoding: table, as: UTF8.self).contains(" \(directory)")
            }
        }
    }

    /// Kills the processes of the namespace, and waits for their end.
    private func endProcesses() throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while true {
            let processes = try processes()
            if processes.isEmpty { return }
            for process in processes { kill(process, SIGKILL) }
            for process in processes {
                while try ProcessRecord.read(process)?.isAlive == true {
                    try #require(ContinuousClock.now < deadline, "process \(process) does not end")
                    usleep(1000)
                }
            }
        }
    }

    private func processes() throws -> [pid_t] {
        let mark = Array(mark.utf8)
        return try ProcessTable().processIDs().filter { process in
            let environment = (try? readWholeFile(FilePath("/proc/\(process)/environ"))) ?? []
            return environment.split(separator: 0).contains { $0.elementsEqual(mark) }
        }
    }

    private static func enter(_ directory: FilePath) throws {
        // unshare(2) is behind _GNU_SOURCE, so Glibc does not import it.
        typealias Unshare = @convention(c) (CInt) -> CInt
        let symbol = try #require(dlsym(nil, "unshare"))
        let newMountNamespace: CInt = 0x0002_0000
        try #require(unsafeBitCast(symbol, to: Unshare.self)(newMountNamespace) == 0, "unshare")
        try #require(Glibc.mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0, "private")
        try #require(Glibc.mount("none", directory.string, "tmpfs", 0, nil) == 0, "tmpfs")
    }

    /// Runs a command in the namespace, in its root: the child of a thread is in the thread's namespace.
    func shell(_ command: String, sourceLocation: SourceLocation = #_sourceLocation) throws {
        let status = "cd '\(root)' && { \(command); }".withCString { text in
            spawnShell(text)
        }
        try #require(status == 0, "\(command)", sourceLocation: sourceLocation)
    }

    /// Starts a process with a namespace of its own, and waits until it has done what the script says.
    ///
    /// - Parameter options: further options for unshare(1).
    func container(_ script: String, options: String = "") throws -> pid_t {
        try shell(
            """
            mkfifo ready; unshare \(options) --mount --propagation private sh -ec '\(script)
            echo > \(root)/ready; exec sleep 1000' & echo $! > process; read line < ready; rm ready
            """)
        let process = try #require(SmallFile.text(root.appending("process")).flatMap { pid_t($0) })
        let deadline = ContinuousClock.now + .seconds(10)
        while SmallFile.text(FilePath("/proc/\(process)/comm")) != "sleep", ContinuousClock.now < deadline {
            usleep(1000)
        }
        return process
    }

    private func spawnShell(_ command: UnsafePointer<CChar>) -> CInt {
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("sh"), strdup("-ec"), strdup(command), nil]
        defer { arguments.forEach { free($0) } }
        let inherited = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        var environment = (inherited + [mark]).map { strdup($0) } + [nil]
        defer { environment.forEach { free($0) } }
        var process: pid_t = 0
        guard posix_spawn(&process, "/bin/sh", nil, nil, &arguments, &environment) == 0 else { return -1 }
        var status: CInt = -1
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        return status
    }
}
