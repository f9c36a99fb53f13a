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
    private let status = Mutex(ServiceStatus())

    /// Takes `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` out of the environment: they are for this process
    /// alone. To be called once, before there are threads.
    ///
    /// - Returns: Nil if no service manager wants to be told anything, or it cannot be reached.
    public static func fromEnvironment() -> ServiceManager? {
        let names = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"]
        let values = names.map { name in getenv(name).map { String(cString: $0) } }
        for name in names { unsetenv(name) }
        guard let address = values[0] else { return nil }
        return try? ServiceManager(address: address, watchdog: values[1], watchdogProcess: values[2])
    }

    /// - Parameters:
    ///   - watchdog: After how many microseconds of silence the process is killed, in decimal digits.
    ///   - watchdogProcess: Whose silence; ours if nil.
    init(address: String, watchdog: String?, watchdogProcess: String?) throws(Errno) {
        socket = try NotificationSocket(address)
        let isForUs = watchdogProcess.map { pid_t($0) == getpid() } ?? true
        // Half of it, as sd_watchdog_enabled(3) recommends.
        watchdogInterval =
            isForUs
            ? watchdog.flatMap(Int64.init).flatMap { $0 > 0 ? .microseconds($0 / 2) : nil } : nil
    }

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
