import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A filesystem for which the kernel has no freeze: flushed and said so, or a failure.
extension EndToEnd {
    @Suite(
        .needs("a kernel with vfat", toTest: "what cannot be frozen", failsInCI: false) {
            KernelFilesystems.hasVFAT
        })
    struct UnfreezableTests {
        private let device: String
        private let mountPoint = "/mnt/vfat"

        init() throws {
            try ScratchWorld.require()
            try RunningProgram.output(of: "truncate", ["--size", "16M", "/tmp/vfat.img"])
            device = try RunningProgram.output(of: "losetup", ["--find", "--show", "/tmp/vfat.img"])
            try RunningProgram.output(of: "mkfs.vfat", [device])
            try RunningProgram.output(of: "mkdir", ["-p", mountPoint])
            try RunningProgram.output(of: "mount", [device, mountPoint])
        }

        private func remove(after rig: DaemonRig) throws {
            try rig.waitUntilReleased()
            try RunningProgram.output(of: "umount", [mountPoint])
            try RunningProgram.output(of: "losetup", ["--detach", device])
            try RunningProgram.output(of: "rm", ["/tmp/vfat.img"])
        }

        @Test func `complaint 6: unfreezable sync succeeds at the level crash, with the reason`() throws {
            let rig = try DaemonRig(hooks: ["10-hook": "true"])
            #expect(try rig.freeze().status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .crash)
            #expect(record.reason == "could only be flushed: \(mountPoint)")
            let synced = try #require(record.filesystems.first { $0.mountPoint == FilePath(mountPoint) })
            #expect(synced.action == .sync && synced.flushes.count == 2 && synced.freeze == nil)
            try remove(after: rig)
        }

        @Test func `complaint 6, P2: unfreezable fail fails the request by name`() throws {
            let rig = try DaemonRig(configuration: ["filesystems": "unfreezable = \"fail\""])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.reason?.hasPrefix("\(mountPoint): its filesystem") == true)
            #expect(record.window == nil)
            try remove(after: rig)
        }
    }
}

/// What this kernel can mount.
enum KernelFilesystems {
    static let hasVFAT =
        (try? String(contentsOfFile: "/proc/filesystems", encoding: .utf8))?.contains("\tvfat\n") == true
}
