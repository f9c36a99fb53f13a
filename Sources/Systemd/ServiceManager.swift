import FreezeCore
import Glibc
import Synchronization
import SystemPackage

/// systemd, as the one who started the daemon with `Type=notify` (sd_notify(3)): it is told when requests can come,
/// what the daemon is doing, and at intervals that it is alive.
public final class ServiceManager: LifeObserver, RequestObserver {
    /// The extension of systemd's wait for the end after each message, beyond `TimeoutStopSec=`.
    /// `TimeoutStopSec=` is short, for a daemon without messages.
    private static let stopExtension = Duration.seconds(30)
    /// How often the timeout is extended while the daemon stops.
    private static let stopInterval = Duration.seconds(10)

    private let socket: NotificationSocket
    private let watchdogInterval: Duration?
    private let isEnding = Mutex(false)
    private let stored: Mutex<FileDescriptor?>
    private let status = Mutex(ServiceStatus())

    /// Takes `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` out of the environment: they are for this process
    /// alone. To be called once, before there are threads.
    ///
    /// - Returns: Nil if no service manager wants to be told anything, or it cannot be reached.
    public static func fromEnvironment() -> ServiceManager? {
        let names = [
            "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES",
        ]
        let values = names.map { name in getenv(name).map { String(cString: $0) } }
        for name in names { unsetenv(name) }
        guard let address = values[0] else { return nil }
        let stored = storedDescriptor(process: values[3], count: values[4], names: values[5])
        return try? ServiceManager(
            address: address, watchdog: values[1], watchdogProcess: values[2], stored: stored)
    }

    /// - Parameters:
    ///   - watchdog: After how many microseconds of silence the process is killed, in decimal digits.
    ///   - watchdogProcess: Whose silence; ours if nil.
    ///   - stored: The descriptor in the service manager's store; owned from here on.
    init(
        address: String, watchdog: String?, watchdogProcess: String?, stored: FileDescriptor? = nil
    ) throws(Errno) {
        socket = try NotificationSocket(address)
        self.stored = Mutex(stored)
        let isForUs = watchdogProcess.map { pid_t($0) == getpid() } ?? true
        // Half of it, as sd_watchdog_enabled(3) recommends.
        watchdogInterval =
            isForUs
            ? watchdog.flatMap(Int64.init).flatMap { $0 > 0 ? .microseconds($0 / 2) : nil } : nil
    }

    // MARK: The descriptor store

    /// The name of the descriptor in the store (FDNAME=).
    private static let descriptorName = "port"
    /// The first descriptor that systemd passes (SD_LISTEN_FDS_START, sd_listen_fds(3)).
    private static let firstDescriptor: CInt = 3

    /// Closes every other descriptor that systemd passed.
    private static func storedDescriptor(process: String?, count: String?, names: String?) -> FileDescriptor? {
        guard process.flatMap(pid_t.init) == getpid(), let count = count.flatMap(CInt.init), count > 0 else {
            return nil
        }
        let names = (names ?? "").split(separator: ":", omittingEmptySubsequences: false)
        var stored: FileDescriptor?
        for index in 0..<min(count, 16) {
            let descriptor = FileDescriptor(rawValue: firstDescriptor + index)
            if stored == nil, Int(index) < names.count, names[Int(index)] == descriptorName {
                _ = fcntl(descriptor.rawValue, F_SETFD, FD_CLOEXEC)
                stored = descriptor
            } else {
                try? descriptor.close()
            }
        }
        return stored
    }

    /// The descriptor that the previous instance stored, once; the caller owns it.
    public func takeStoredDescriptor() -> FileDescriptor? {
        stored.withLock { stored in
            defer { stored = nil }
            return stored
        }
    }

    /// Keeps a descriptor open over a restart of the service; nil removes the descriptor from the store.
    public func store(_ descriptor: FileDescriptor?) {
        let name = "FDNAME=\(Self.descriptorName)"
        guard let descriptor else { return socket.send("FDSTOREREMOVE=1\n\(name)") }
        // Without FDPOLL=0 systemd drops a port without a client on the host.
        socket.send("FDSTORE=1\n\(name)\nFDPOLL=0", descriptor)
    }

    // MARK: Life

    public func isStarting() {
        send(nil)
    }

    public func isServing() {
        send("READY=1")
    }

    public var heartbeatInterval: Duration? {
        guard isEnding.withLock({ $0 }) else { return watchdogInterval }
        return min(watchdogInterval ?? Self.stopInterval, Self.stopInterval)
    }

    public func isAlive() {
        socket.send("WATCHDOG=1" + (isEnding.withLock { $0 } ? "\n\(Self.extend)" : ""))
    }

    public func isStopping() {
        isEnding.withLock { $0 = true }
        send("STOPPING=1\n\(Self.extend)")
    }

    private static let extend = "EXTEND_TIMEOUT_USEC=\(stopExtension.components.seconds * 1_000_000)"

    public func observe(_ progress: RequestProgress) {
        if status.withLock({ $0.update(with: progress) }) { send(nil) }
    }

    private func send(_ news: String?) {
        let text = "STATUS=\(status.withLock { $0.text })"
        socket.send(news.map { "\($0)\n\(text)" } ?? text)
    }
}
