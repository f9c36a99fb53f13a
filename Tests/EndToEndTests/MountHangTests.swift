import Channels
import Foundation
import History
import LinuxCalls
import SystemPackage
import Testing

/// Mounts that hang whoever touches them: a FUSE or network server that never answers, an automount without its daemon.
extension EndToEnd {
    @Suite struct MountHangTests {
        enum Kind: String, CaseIterable, Sendable {
            case fuse, fuseblk, autofs
        }

        /// A mount whose server never answers, and what it must be told to end.
        private func mountSilent(_ kind: Kind, on mountPoint: String) throws -> RunningProgram {
            let fuse = "[ -e /dev/fuse ] || mknod /dev/fuse c 10 229; exec 3<>/dev/fuse"
            let options = "fd=3,rootmode=40000,user_id=0,group_id=0"
            let mount =
                switch kind {
                case .fuse: "\(fuse)\nmount -i -t fuse -o \(options) silent \(mountPoint)"
                case .fuseblk:
                    """
                    \(fuse); truncate --size 1M /tmp/silent.img; device=$(losetup --find --show /tmp/silent.img)
                    mount -i -t fuseblk -o \(options),blksize=512 $device \(mountPoint); losetup --detach $device
                    """
                case .autofs:
                    """
                    mkfifo /tmp/silent.pipe; exec 3<>/tmp/silent.pipe; rm /tmp/silent.pipe
                    mount -i -t autofs -o fd=3,pgrp=$$,minproto=5,maxproto=5,direct silent \(mountPoint)
                    """
                }
            let server = try RunningProgram(
                "sh", ["-ec", "mkdir -p \(mountPoint)\n\(mount)\necho mounted; exec cat"])
            try server.waitForLine(in: .output) { $0 == "mounted" }
            return server
        }

        /// The proof that it hangs whoever touches it.
        private func victim(of mountPoint: String) throws -> RunningProgram {
            let victim = try RunningProgram("ls", ["\(mountPoint)/"])
            #expect(throws: RunningProgram.Failure.self) { try victim.waitForExit(within: .milliseconds(300)) }
            return victim
        }

        @Test(arguments: Kind.allCases)
        func `complaint 10, P9: a mount that hangs whoever touches it is never touched`(kind: Kind) throws {
            let mountPoint = "/mnt/silent-\(kind)"
            let server = try mountSilent(kind, on: mountPoint)
            let victim = try victim(of: mountPoint)
            // In a container it is in the way as well.
            let filesystem = try UnheldFilesystem("beside-\(kind)")
            let container = try ScratchContainer(filesystem.mountCommand)
            let rig = try DaemonRig()
            let answer = try rig.freeze()
            #expect(answer.status == .success, "\(rig.log)")
            #expect(answer.duration < .seconds(5))
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try FreezeProof.isFrozen(container.path(filesystem.mountPoint)))
            #expect(try rig.thaw().status == .success)
            let skipped = try rig.record().filesystems.first { $0.mountPoint == mountPoint }
            #expect(skipped?.action == "skip")
            try rig.waitUntilReleased()
            try container.end()
            try filesystem.remove()
            try server.closeInput()
            try server.waitForExit()
            victim.send(SIGKILL)
            try victim.waitForExit()
            try RunningProgram.output(of: "umount", [mountPoint])
        }

        @Test
        func `P2 a local filesystem under a dead mount is reached by another way, or fails the request by name`()
            throws
        {
            let filesystem = try ScratchFilesystem(.ext4)
            let other = "/mnt/another-way"
            try RunningProgram.output(of: "mkdir", ["-p", other])
            try RunningProgram.output(of: "mount", ["--bind", filesystem.mountPoint.string, other])
            let server = try mountSilent(.fuse, on: filesystem.mountPoint.string)
            let victim = try victim(of: filesystem.mountPoint.string)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(FilePath(other)))
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()

            try RunningProgram.output(of: "umount", [other])
            let answer = try rig.freeze()
            #expect(answer.status == .failure)
            #expect(answer.duration < .seconds(5))
            #expect(try rig.thaw().status == .success)
            let reason = try #require(try rig.record(number: 2).reason)
            #expect(reason.hasPrefix("\(filesystem.mountPoint): its filesystem"), "\(reason)")
            #expect(reason.contains("cannot be reached"))
            try server.closeInput()
            try server.waitForExit()
            try victim.waitForExit()
            try RunningProgram.output(of: "umount", [filesystem.mountPoint.string])
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }
    }
}
