import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// The daemon as systemd sees it (`Type=notify`, a watchdog), but for systemd itself: that is in the tests with a virtual
/// machine.
extension EndToEnd {
    @Suite struct ServiceTests {
        private let systemd: NotificationListener
        private let rig: DaemonRig
        private let filesystem: ScratchFilesystem

        init() throws {
            filesystem = try ScratchFilesystem(.ext4)
            systemd = try NotificationListener(at: "/run/notify-\(UInt32.random(in: 0...UInt32.max))")
            rig = try DaemonRig(hooks: ["10-shows": "env >>$TRACE"], hasStopPoints: true, isStarted: false)
        }

        private func start(watchdog: Duration? = nil) throws {
            rig.additionalEnvironment["NOTIFY_SOCKET"] = systemd.address
            rig.additionalEnvironment["WATCHDOG_USEC"] = watchdog.map { "\($0.components.seconds * 1_000_000)" }
            try rig.start()
        }

        /// Messages until one has this line, that one included.
        private func messages(until line: String) throws -> [String] {
            var messages: [String] = []
            while let message = try systemd.next() {
                messages.append(message)
                if message.split(separator: "\n").contains(where: { $0.hasPrefix(line) }) { return messages }
            }
            throw DaemonRig.Failure(description: "no \(line) among \(messages); log: \(rig.log)")
        }

        @Test func `it is ready when requests can come, and tells what it does`() throws {
            try start()
            #expect(try messages(until: "READY=1").last == "READY=1\nSTATUS=Waiting for a request.")
            // So it answers at once.
            #expect(try rig.control("status").ending == .exited(0))
            #expect(try rig.freeze().status == .success)
            let whileFreezing = try messages(until: "STATUS=Frozen:")
            #expect(
                whileFreezing.contains { $0.hasPrefix("STATUS=Running freeze hooks: request ") },
                "\(whileFreezing)")
            #expect(try rig.thaw().status == .success)
            #expect(
                try messages(until: "STATUS=Waiting for a request. Last: ").last?.contains(" succeeded, level")
                    == true)
            // It is nobody else's.
            #expect(try rig.traced().filter { $0.hasPrefix("NOTIFY_SOCKET") || $0.hasPrefix("WATCHDOG") } == [])
            #expect(try rig.stop() == .exited(0))
            #expect(try messages(until: "STOPPING=1").count == 1)
            try filesystem.remove()
        }

        @Test func `P1 it is ready only after filesystems of the previous instance are thawed`() throws {
            try rig.start()
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            // It stands still before it thaws anything.
            try rig.arm("recovering")
            rig.additionalEnvironment["NOTIFY_SOCKET"] = systemd.address
            try rig.launch()
            try rig.waitForStop(of: rig.daemon.processIdentifier, at: "recovering")
            #expect(try FreezeProof.isFrozen(filesystem.mountPoint))
            #expect(
                try systemd.next()
                    == "STATUS=Starting: thawing filesystems that the previous instance left frozen.")
            #expect(try systemd.next(within: .zero) == nil)
            rig.daemon.send(SIGCONT)
            _ = try messages(until: "READY=1")
            #expect(try !FreezeProof.isFrozen(filesystem.mountPoint))
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        @Test func `it is ready without a control socket, too`() throws {
            let taken = rig.runDirectory.appending("control.sock").string
            try RunningProgram.output(of: "mkdir", ["--mode", "700", rig.runDirectory.string])
            // What is no socket is in its place, and is nobody's to remove.
            try RunningProgram.output(of: "mkdir", [taken])
            try start()
            _ = try messages(until: "READY=1")
            // Written by a thread of its own.
            try rig.daemon.waitForLine(in: .errors) { $0.contains("the control socket is not there") }
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        @Test func `P9 the watchdog hears of it, idle and frozen, and not when it stands still`() throws {
            try start(watchdog: .seconds(1))
            _ = try messages(until: "READY=1")
            for _ in 0..<2 { _ = try messages(until: "WATCHDOG=1") }
            #expect(try rig.freeze().status == .success)
            _ = try messages(until: "STATUS=Frozen")
            for _ in 0..<2 { _ = try messages(until: "WATCHDOG=1") }
            rig.daemon.send(SIGSTOP)
            // What was under way when it was stopped.
            while try systemd.next(within: .milliseconds(100)) != nil {}
            #expect(try systemd.next(within: .seconds(2)) == nil)
            // What systemd does then.
            rig.daemon.send(SIGKILL)
            _ = try rig.daemon.waitForExit()
            let deadline = ContinuousClock.now + .seconds(10)
            while try FreezeProof.isFrozen(filesystem.mountPoint), ContinuousClock.now < deadline {}
            #expect(try !FreezeProof.isFrozen(filesystem.mountPoint))
            try filesystem.remove()
        }
    }
}
