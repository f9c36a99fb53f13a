import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A filesystem served by a process from a block device (`fuseblk`): the device is flushed, the mount never
/// opened.
extension EndToEnd {
    @Suite(
        .needs("ntfs-3g", toTest: "a filesystem that a process serves from a block device") {
            ["/usr/bin/ntfs-3g", "/usr/sbin/mkfs.ntfs"].allSatisfy(FileManager.default.fileExists)
        })
    struct UserspaceDiskTests {
        private let image = "/tmp/ntfs.img"
        private let mountPoint = "/mnt/ntfs"
        private let device: String

        init() throws {
            try ScratchWorld.require()
            try RunningProgram.output(of: "truncate", ["--size", "16M", image])
            device = try RunningProgram.output(of: "losetup", ["--find", "--show", image])
            try RunningProgram.output(of: "mkfs.ntfs", ["--quick", "--force", device])
            try RunningProgram.output(of: "sh", ["-c", "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229"])
            try mount("rw")
        }

        private func mount(_ options: String) throws {
            try RunningProgram.output(of: "mkdir", ["-p", mountPoint])
            // A server in the background keeps the output open.
            try RunningProgram.output(
                of: "sh", ["-c", "exec ntfs-3g -o \(options) \(device) \(mountPoint) >/dev/null 2>&1"])
        }

        private func remove(after rig: DaemonRig) throws {
            try rig.waitUntilReleased()
            try RunningProgram.output(of: "umount", [mountPoint])
            try RunningProgram.output(of: "losetup", ["--detach", device])
            try RunningProgram.output(of: "rm", [image])
        }

        /// Whether the device holds a text. Text in the kernel's cache of the device does not count.
        private func isOnDevice(_ text: String) throws -> Bool {
            try Data(contentsOf: URL(fileURLWithPath: image)).range(of: Data(text.utf8)) != nil
        }

        @Test func `P2 what was written through ntfs-3g is on the device, and the level is crash`() throws {
            let text = "written through a process, \(UUID())"
            let rig = try DaemonRig(hooks: ["10-hook": "true"])
            try RunningProgram.output(of: "sh", ["-c", "echo '\(text)' > \(mountPoint)/file"])
            let isWritten = try isOnDevice(text)
            try #require(!isWritten, "nothing is left to flush")
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try isOnDevice(text))
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .crash)
            #expect(record.reason == "could only be flushed: \(mountPoint)")
            let synced = try #require(record.filesystems.first { $0.mountPoint == FilePath(mountPoint) })
            #expect(synced.action == .sync && synced.flushes.count == 2 && synced.freeze == nil)
            try remove(after: rig)
        }

        @Test func `a machine with nothing to freeze is flushed, at the level crash`() throws {
            let text = "nothing to freeze, \(UUID())"
            let rig = try DaemonRig(
                configuration: ["filesystems": "include = [\"\(mountPoint)\"]"], hooks: ["10-hook": "true"])
            try RunningProgram.output(of: "sh", ["-c", "echo '\(text)' > \(mountPoint)/file"])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try isOnDevice(text))
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .crash)
            #expect(record.reason == "could only be flushed: \(mountPoint); 1 left out: /")
            #expect(try rig.control("plan").ending == .exited(0))
            try remove(after: rig)
        }

        @Test func `P9 a server that does not answer holds up nothing`() throws {
            let server = try RunningProgram.output(of: "pgrep", ["-f", "ntfs-3g.* \(device) "])
            try RunningProgram.output(of: "kill", ["-STOP", server])
            let rig = try DaemonRig()
            let answer = try rig.freeze()
            #expect(answer.status == .success, "\(rig.log)")
            #expect(answer.duration < .seconds(5))
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().level == .crash)
            try RunningProgram.output(of: "kill", ["-CONT", server])
            try remove(after: rig)
        }

        @Test func `P2 unfreezable fail fails the request by name`() throws {
            let rig = try DaemonRig(configuration: ["filesystems": "unfreezable = \"fail\""])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.reason?.hasPrefix("\(mountPoint): its filesystem (fuseblk on \(device))") == true)
            #expect(record.window == nil)
            try remove(after: rig)
        }

        @Test func `a read-only ntfs-3g is skipped`() throws {
            try RunningProgram.output(of: "umount", [mountPoint])
            try mount("ro")
            let rig = try DaemonRig(configuration: ["filesystems": "unfreezable = \"fail\""])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().level == .filesystem)
            try remove(after: rig)
        }
    }
}
