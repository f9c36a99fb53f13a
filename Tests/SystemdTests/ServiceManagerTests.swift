import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import Systemd

/// Against a socket as systemd makes it (sd_notify(3)).
@Suite struct ServiceManagerTests {
    @Test func `it says what systemd understands`() throws {
        let directory = try TemporaryDirectory()
        let systemd = try NotificationListener(at: directory.path.appending("notify").string)
        let manager = try ServiceManager(address: systemd.address, watchdog: nil, watchdogProcess: nil)
        manager.observe(RequestProgress(request: nil, channel: nil, event: .entered(.idle)))
        #expect(try systemd.next() == "STATUS=Waiting for a request.")
        manager.isServing()
        #expect(try systemd.next() == "READY=1\nSTATUS=Waiting for a request.")
        manager.isAlive()
        #expect(try systemd.next() == "WATCHDOG=1")
        manager.isStopping()
        #expect(
            try systemd.next() == "STOPPING=1\nEXTEND_TIMEOUT_USEC=30000000\nSTATUS=Waiting for a request.")
        // The same again is said once.
        manager.observe(RequestProgress(request: nil, channel: nil, event: .entered(.idle)))
        manager.isAlive()
        #expect(try systemd.next() == "WATCHDOG=1\nEXTEND_TIMEOUT_USEC=30000000")
    }

    @Test(arguments: [nil, "4000000", "30000000"])
    func `a stopping daemon extends the timeout before it runs out`(watchdog: String?) throws {
        let systemd = try NotificationListener(at: "@quiesce-stop-\(getpid())-\(watchdog ?? "none")")
        let manager = try ServiceManager(address: systemd.address, watchdog: watchdog, watchdogProcess: nil)
        #expect(manager.heartbeatInterval == watchdog.flatMap(Int64.init).map { .microseconds($0 / 2) })
        manager.isStopping()
        #expect(try #require(manager.heartbeatInterval) <= .seconds(10))
    }

    @Test func `an abstract name will do`() throws {
        let systemd = try NotificationListener(at: "@quiesce-test-\(getpid())")
        let manager = try ServiceManager(address: systemd.address, watchdog: nil, watchdogProcess: nil)
        manager.isAlive()
        #expect(try systemd.next() == "WATCHDOG=1")
    }

    @Test func `one that does not read blocks nobody`() throws {
        let directory = try TemporaryDirectory()
        let systemd = try NotificationListener(at: directory.path.appending("notify").string)
        let manager = try ServiceManager(address: systemd.address, watchdog: nil, watchdogProcess: nil)
        let started = Moment.now
        for _ in 0..<10_000 { manager.isAlive() }
        #expect(Moment.now - started < .seconds(5))
        #expect(try systemd.next() == "WATCHDOG=1")
    }

    @Test func `nobody there is an error`() {
        #expect(throws: Errno.noSuchFileOrDirectory) {
            try ServiceManager(address: "/nonexistent/notify", watchdog: nil, watchdogProcess: nil)
        }
        for odd in ["", "vsock:2:1"] {
            #expect(throws: Errno.addressFamilyNotSupported) {
                try ServiceManager(address: odd, watchdog: nil, watchdogProcess: nil)
            }
        }
        #expect(throws: Errno.fileNameTooLong) {
            try ServiceManager(
                address: "/" + String(repeating: "x", count: 200), watchdog: nil, watchdogProcess: nil)
        }
    }

    @Test(arguments: [
        ("30000000", nil, Duration.seconds(15)), ("30000000", "own", .seconds(15)), ("30000000", "1", nil),
        ("0", nil, nil), ("soon", nil, nil), (nil, nil, nil),
    ])
    func `the heartbeat is half of what the watchdog waits`(
        watchdog: String?, process: String?, expected: Duration?
    ) throws {
        let directory = try TemporaryDirectory()
        let systemd = try NotificationListener(at: directory.path.appending("notify").string)
        let manager = try ServiceManager(
            address: systemd.address, watchdog: watchdog,
            watchdogProcess: process.map { $0 == "own" ? "\(getpid())" : $0 })
        #expect(manager.heartbeatInterval == expected)
    }
}
