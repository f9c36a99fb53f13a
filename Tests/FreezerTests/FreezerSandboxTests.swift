import Glibc
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

@testable import Freezer

/// The sandbox around a thread of the test: privileges and filters are each thread's own.
@Suite(.needsRoot(toTest: "the freezer's sandbox"))
struct FreezerSandboxTests {
    /// What each attempt gave: 0 or an errno.
    private static func inSandbox(
        _ attempts: [(name: String, call: @Sendable () -> Int)]
    ) throws -> [String: CInt] {
        let results = Mutex<Result<[String: CInt], Errno>>(.failure(.canceled))
        let done = ThreadSemaphore()
        try OperatingSystemThread.start("sandboxed") {
            do throws(Errno) {
                try FreezerSandbox.enter()
                let errors = attempts.map { ($0.name, $0.call() < 0 ? errno : 0) }
                results.withLock { $0 = .success(Dictionary(uniqueKeysWithValues: errors)) }
            } catch {
                results.withLock { $0 = .failure(error) }
            }
            done.signal()
        }
        done.wait()
        return try results.withLock { try $0.get() }
    }

    @Test func `no file, no process, no network, no privilege`() throws {
        let results = try Self.inSandbox([
            ("open", { Int(open("/etc/passwd", O_RDONLY)) }),
            ("unlink", { Int(unlink("/nonexistent")) }),
            ("socket", { Int(socket(AF_UNIX, CInt(SOCK_STREAM.rawValue), 0)) }),
            ("exec", { Int(execve("/bin/true", [nil], [nil])) }),
            ("process", { spawning() }),
            ("memory that can be executed", { mapping(PROT_READ | PROT_EXEC) }),
            ("memory made executable", { mapping(PROT_READ, then: PROT_READ | PROT_EXEC) }),
            ("another ioctl", { terminalSetting() }),
            ("kill", { Int(kill(getppid(), 0)) }),
            ("uid", { Int(setuid(1)) }),
            ("mount", { Int(umount("/nonexistent")) }),
        ])
        for (name, error) in results { #expect(error == EPERM, "\(name): \(Errno(rawValue: error))") }
        #expect(results.count == 11)
    }

    @Test func `what it has to do, it can`() throws {
        let ends = try PacketSocket.pair()
        let results = try Self.inSandbox([
            ("freeze", { freezing(ends.1, FilesystemFreezing.freeze) }),
            ("thaw", { freezing(ends.1, FilesystemFreezing.thaw) }),
            ("send", { (try? ends.0.send([1])) == nil ? -1 : 0 }),
            ("memory", { mapping(PROT_READ | PROT_WRITE) }),
            ("a thread", { (try? OperatingSystemThread.start("another") {}) == nil ? -1 : 0 }),
            ("a timer", { (try? BootTimer()) == nil ? -1 : 0 }),
            ("wait", { Int(poll(nil, 0, 1)) }),
        ])
        // A socket's filesystem cannot be frozen, and is not; the filter would have said EPERM.
        #expect(results["freeze"] == EOPNOTSUPP)
        #expect(results["thaw"] == EINVAL)
        for name in ["send", "memory", "a thread", "wait"] { #expect(results[name] == 0, "\(name)") }
        // It has its timer by then.
        #expect(results["a timer"] == EPERM)
        try ends.1.close()
    }
}

private func freezing(_ descriptor: FileDescriptor, _ call: (FileDescriptor) throws(Errno) -> Void) -> Int {
    do throws(Errno) {
        try call(descriptor)
        return 0
    } catch {
        errno = error.rawValue
        return -1
    }
}

private func mapping(_ protection: CInt, then later: CInt? = nil) -> Int {
    let memory = mmap(nil, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let memory, memory != MAP_FAILED else { return -1 }
    return later.map { Int(mprotect(memory, 4096, $0)) } ?? 0
}

/// Takes clone(2) without CLONE_THREAD.
private func spawning() -> Int {
    var process = pid_t()
    errno = posix_spawn(&process, "/bin/true", nil, nil, [nil], [nil])
    return errno == 0 ? 0 : -1
}

/// TCGETS.
private func terminalSetting() -> Int {
    var setting = termios()
    return Int(tcgetattr(0, &setting))
}
