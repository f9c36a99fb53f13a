import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// What a freeze costs, in counts: times say little on a machine that does other things, too. Each bound has some room,
/// and fails when something is done once more for each filesystem, mount or request.
extension EndToEnd {
    @Suite struct FreezeCostTests {
        // MARK: In the window

        /// Allocations may have to wait for memory, which may have to be written to what is frozen.
        @Test func `P7 in the window daemon and freezer allocate little`() throws {
            let filesystems = try (0..<8).map { try ScratchFilesystem($0 % 2 == 0 ? .ext4 : .xfs) }
            let count = try AllocationCount()
            let rig = try rig(for: filesystems)
            var windows: [AllocationCount.Window] = []
            for _ in 0..<3 {
                try count.arm()
                #expect(try rig.freeze().status == .success, "\(rig.log)")
                #expect(try rig.thaw().status == .success)
                try rig.waitUntilReleased()
                windows.append(try count.window())
            }
            print("MEASURED: allocations in windows of 8: \(windows)")
            // Whatever happens to be made ready the first time, or to be told one by one, is not counted.
            #expect(windows.map(\.daemon).min() ?? .max <= 28 * 8)
            #expect(windows.map(\.freezer).min() ?? .max <= 5 * 8)
            #expect(try rig.stop() == .exited(0))
            for filesystem in filesystems { try filesystem.remove() }
        }

        @Test func `one order freezes a whole step, and one thaws everything`() throws {
            let filesystems = try (0..<8).map { try ScratchFilesystem($0 % 2 == 0 ? .ext4 : .xfs) }
            let rig = try rig(for: filesystems)
            let calls = try calls(of: [rig.freezerProcess()]) {
                #expect(try rig.freeze().status == .success)
                #expect(try rig.thaw().status == .success)
                try rig.waitUntilReleased()
            }
            // prepare, descriptors, freeze, thaw, release; and for each the look whether there is more.
            let received = calls.count { $0.name == "recvmsg" && $0.isOnSocket }
            // prepared, thaw finished, released; and frozen and thawed of each.
            let sent = calls.count { $0.name == "sendmsg" && $0.isOnSocket }
            print("MEASURED: the freezer of 8 received \(received) times, and sent \(sent) messages")
            #expect(received <= 10)
            #expect(sent == 3 + 2 * 8)
            #expect(calls.count { $0.isIoctl("FIFREEZE") } == 8)
            #expect(calls.count { $0.isIoctl("FITHAW") } == 8)
            #expect(try rig.stop() == .exited(0))
            for filesystem in filesystems { try filesystem.remove() }
        }

        // MARK: Around it

        /// 400 bind mounts more cost some reading of the mount table, which has to be read whole.
        @Test func `a mount more costs no system call of its own`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try rig(for: [filesystem])
            let few = try request(of: rig)
            try RunningProgram.output(
                of: "bash",
                [
                    "-ec",
                    """
                    mkdir -p /run/binds; mount -t tmpfs none /run/binds
                    for ((n = 0; n < 400; n++)); do
                        mkdir /run/binds/$n; mount --bind \(filesystem.mountPoint) /run/binds/$n
                    done
                    """,
                ], within: .seconds(50))
            let many = try request(of: rig)
            print("MEASURED: system calls of a request: \(few.all), with 400 bind mounts more \(many.all)")
            #expect(many.all - few.all <= 400 / 4)
            print("MEASURED: system calls in the window: \(few.window), with 400 bind mounts more \(many.window)")
            #expect(many.window <= few.window + 8)
            #expect(try rig.stop() == .exited(0))
            try RunningProgram.output(of: "umount", ["--recursive", "/run/binds"], within: .seconds(50))
            try filesystem.remove()
        }

        /// The plan, and the check before the first freeze, read one link of each thread; the two searches for
        /// sleeping writers open, read and close one file.
        @Test func `a thread more costs eight system calls of its own`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try rig(for: [filesystem])
            let few = try request(of: rig)
            let end = ThreadSemaphore()
            for _ in 0..<1000 { try OperatingSystemThread.start("one of many", stackSize: 1 << 16) { end.wait() } }
            defer { for _ in 0..<1000 { end.signal() } }
            let many = try request(of: rig)
            print("MEASURED: system calls of a request: \(few.all), with 1,000 threads more \(many.all)")
            #expect(many.all - few.all <= 8 * 1000 + 200)
            #expect(many.window <= few.window + 8)
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        /// No timer is armed, and no wait ends by itself: a machine that sleeps is not woken.
        @Test func `who is idle waits for ever`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try rig(for: [filesystem], hooks: ["10-hook": "exit 0"])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            for process in [rig.daemon.processIdentifier, try rig.freezerProcess()] {
                // What closes files ends.
                #expect(try IdleThread.busyUntilIdle(process, within: .seconds(30)).isEmpty)
            }
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        // MARK: Helpers

        private func rig(for filesystems: [ScratchFilesystem], hooks: [String: String] = [:]) throws -> DaemonRig {
            let names = filesystems.map { "\"\($0.mountPoint)\"" }.joined(separator: ", ")
            let rig = try DaemonRig(
                configuration: [
                    "filesystems": "include = [\(names)]", "hooks": "timeout = \"2s\"",
                ], hooks: hooks)
            try rig.waitForSocket()
            return rig
        }

        private func calls(of processes: [pid_t], _ work: () throws -> Void) throws -> [SystemCallTrace.Call] {
            let trace = try SystemCallTrace(processes)
            try work()
            // strace prints a call after the call has returned: the receiver of a message can be earlier.
            for process in processes { _ = try ProcessStatus.wakeUps(of: process) }
            return try trace.stop().compactMap(\.self)
        }

        private func request(of rig: DaemonRig) throws -> (all: Int, window: Int) {
            let trace = try SystemCallTrace([rig.daemon.processIdentifier, rig.freezerProcess()])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            let calls = try trace.stop()
            return (calls.count { $0 != nil }, try #require(calls.window).count)
        }
    }
}

extension SystemCallTrace.Call {
    fileprivate var isOnSocket: Bool { target.map { $0.hasPrefix("UNIX") || $0.hasPrefix("socket:") } ?? false }
}
