import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Mount namespaces that hide a filesystem or cost time in the window; and mounts in the window.
extension EndToEnd {
    @Suite struct NamespaceAttackTests {
        // MARK: Hidden filesystems

        @Test func `P2 a filesystem that only a thread has mounted is frozen and thawed`() throws {
            let filesystem = try UnheldFilesystem("of-a-thread")
            let thread = try NamespaceThread(mounting: filesystem)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(thread.path(filesystem.mountPoint)))
            #expect(try rig.thaw().status == .success)
            #expect(try !FreezeProof.isFrozen(thread.path(filesystem.mountPoint)))
            let entry = try rig.record().filesystems.first { $0.mountPoint == filesystem.mountPoint }
            #expect(
                entry?.reason.contains(
                    "mounted only in the mount namespace of thread \(thread.threadID) of process \(getpid())")
                    == true, "\(entry?.reason ?? "")")
            try rig.waitUntilReleased()
            thread.end()
            try filesystem.remove()
        }

        @Test func `P2 a filesystem of a process whose main thread has ended is frozen and thawed`() throws {
            let filesystem = try UnheldFilesystem("of-an-ended-thread")
            let (device, mountPoint) = (strdup(filesystem.device.string), strdup(filesystem.mountPoint.string))
            defer { free(device); free(mountPoint) }
            let process = try ForkedProcess { calls, isReady in
                calls.require(calls.unshare(ForkedProcess.Calls.newMountNamespace) == 0)
                calls.require(mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0)
                calls.require(mount(device, mountPoint, "ext4", 0, nil) == 0)
                var thread = pthread_t()
                calls.require(pthread_create(&thread, nil, { _ in while true { pause() } }, nil) == 0)
                isReady()
                calls.endThread()
            }
            try wait(for: "the end of the main thread") { try ProcessRecord.read(process.processID)?.state == "Z" }
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            let entry = try rig.record().filesystems.first { $0.mountPoint == filesystem.mountPoint }
            #expect(entry?.freeze != nil && entry?.thaw != nil, "it is not in the plan")
            try rig.waitUntilReleased()
            process.end()
            try filesystem.remove()
        }

        @Test func `a process that may not be looked at is named, with the cause`() throws {
            let rig = try DaemonRig(isStarted: false)
            let container = try ScratchContainer("")
            let (ending, output, errors) = try RunningProgram.run(
                "setpriv",
                [
                    "--bounding-set", "-sys_ptrace", ScratchWorld.programs.appending("quiescectl").string, "plan",
                    "--config", rig.configuration.string,
                ])
            #expect(ending == .exited(0), "\(errors)")
            let words = output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(
                words.contains(
                    "more: its mount namespace may not be looked at: EACCES: the process has more capabilities than "
                        + "quiesced, and quiesced lacks CAP_SYS_PTRACE"), "\(output)")
            try container.end()
        }

        // MARK: Time

        @Test func `65,000 changing mounts in a user namespace make no writer wait longer`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let writer = try StallWitness(on: filesystem.mountPoint)
            let rig = try DaemonRig()
            func stall() throws -> Duration {
                _ = writer.longest()
                #expect(try rig.freeze().status == .success, "\(rig.log)")
                #expect(try rig.thaw().status == .success, "\(rig.log)")
                try rig.waitUntilReleased()
                return writer.longest()
            }
            let before = try (0..<3).map { _ in try stall() }
            let crowd = try Self.crowd(doublings: 16)
            let beside = try (0..<3).map { _ in try stall() }
            print("MEASURED: the longest write, without \(before) and beside 65,000 changing mounts \(beside)")
            #expect(beside.min() ?? .zero < .milliseconds(300))
            crowd.end()
            writer.stop()
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        /// Doubles the number of mounts `doublings` times; one more mount comes and goes all the time.
        private static func crowd(doublings: Int32) throws -> ForkedProcess {
            try ForkedProcess { calls, isReady in
                calls.becomeRootOfUserNamespace()
                calls.require(mount("none", "/mnt", "tmpfs", 0, nil) == 0 && chdir("/mnt") == 0)
                for number in 0..<doublings {
                    var name = (CChar(97 + number), CChar(0))
                    withUnsafePointer(to: &name.0) { name in
                        calls.require(mkdir(name, 0o700) == 0)
                        calls.require(mount("/mnt", name, nil, UInt(MS_BIND | MS_REC), nil) == 0)
                    }
                }
                calls.require(mount("none", "/tmp", "tmpfs", 0, nil) == 0)
                isReady()
                while true {
                    calls.require(mount("none", "/tmp", "tmpfs", 0, nil) == 0)
                    calls.require(umount2("/tmp", 0) == 0)
                }
            }
        }

        // MARK: Mounts in the window

        @Test func `P3 a filesystem that is mounted in the window fails THAW`() throws {
            let filesystem = try UnheldFilesystem("in-the-window")
            try expectLost("\(filesystem.mountPoint) (ext4 on \(filesystem.device)) was mounted") {
                try RunningProgram.output(of: "mount", [filesystem.device.string, filesystem.mountPoint.string])
            }
            try RunningProgram.output(of: "umount", [filesystem.mountPoint.string])
            try filesystem.remove()
        }

        @Test func `P3 a filesystem that is mounted in the window by a container fails THAW`() throws {
            let filesystem = try UnheldFilesystem("in-the-containers-window")
            let container = try ScratchContainer("")
            try expectLost("was mounted") {
                try container.run("mount", filesystem.device.string, filesystem.mountPoint.string)
            }
            try container.end()
            try filesystem.remove()
        }

        @Test(arguments: [false, true])
        func `P3 a filesystem that becomes writable in the window fails THAW`(inContainer: Bool) throws {
            let filesystem = try ScratchFilesystem(.ext4, mountOptions: "ro")
            let container = try ScratchContainer("")
            try expectLost("\(filesystem.mountPoint) (ext4 on \(filesystem.device)) became writable") {
                let command = ["mount", "-o", "remount,rw", filesystem.mountPoint.string]
                if inContainer {
                    try RunningProgram.output(
                        of: "nsenter", ["--target", "\(container.processID)", "--mount"] + command)
                } else {
                    try RunningProgram.output(of: FilePath(command[0]), Array(command.dropFirst()))
                }
            }
            try container.end()
            try filesystem.remove()
        }

        @Test func `P3 mounts in the window that make nothing writable are no failure`() throws {
            let planned = try ScratchFilesystem(.ext4)
            let unmounted = try UnheldFilesystem("unmounted-in-the-window")
            try RunningProgram.output(of: "mount", [unmounted.device.string, unmounted.mountPoint.string])
            let second = "/run/second"
            try RunningProgram.output(
                of: "mkdir", ["-p", second, "/run/lower", "/run/upper", "/run/work", "/run/overlay"])
            let readOnly = try UnheldFilesystem("read-only")
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            try RunningProgram.output(
                of: "sh",
                [
                    "-ec",
                    """
                    umount --lazy \(unmounted.mountPoint)
                    mount --bind \(planned.mountPoint) \(second)
                    mount -t tmpfs none /dev/shm
                    mount -t overlay -o lowerdir=/run/lower,upperdir=/run/upper,workdir=/run/work none /run/overlay
                    mount -o ro,noload \(readOnly.device) \(readOnly.mountPoint)
                    """,
                ])
            #expect(try rig.thaw().status == .success, "\(rig.log)")
            #expect(try rig.record().result == .succeeded)
            try rig.waitUntilReleased()
            try RunningProgram.output(
                of: "umount", [second, "/dev/shm", "/run/overlay", readOnly.mountPoint.string])
            #expect(try rig.stop() == .exited(0))
            for filesystem in [unmounted, readOnly] { try filesystem.remove() }
            try planned.remove()
        }

        /// FREEZE succeeds, and THAW fails for the given reason.
        private func expectLost(_ reason: String, after change: () throws -> Void) throws {
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            try change()
            #expect(try rig.thaw().status == .failure)
            #expect(try !FreezeProof.isFrozen("/"))
            let record = try rig.record()
            #expect(record.result == .failed)
            #expect(record.reason?.contains(reason) == true, "\(record.reason ?? "succeeded")")
            try rig.waitUntilReleased()
            #expect(try rig.stop() == .exited(0))
        }
    }
}
