import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Mounts that hang whoever touches them: a FUSE or network server that never answers, an automount without its daemon.
extension EndToEnd {
    @Suite struct MountHangTests {
        /// The proof that it hangs whoever touches it.
        private func victim(of mountPoint: String) throws -> RunningProgram {
            let victim = try RunningProgram("ls", ["\(mountPoint)/"])
            #expect(throws: RunningProgram.Failure.self) { try victim.waitForExit(within: .milliseconds(300)) }
            return victim
        }

        @Test(arguments: SilentMount.Kind.allCases)
        func `complaint 10, P9: a mount that hangs whoever touches it is never touched`(kind: SilentMount.Kind)
            throws
        {
            let mountPoint = "/mnt/silent-\(kind)"
            let server = try SilentMount.make(kind, on: mountPoint)
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
            let entry = try rig.record().filesystems.first { $0.mountPoint == FilePath(mountPoint) }
            // A filesystem served from a disk is flushed through the disk.
            #expect(entry?.action == (kind == .fuseblk ? .sync : .skip))
            try rig.waitUntilReleased()
            try container.end()
            try filesystem.remove()
            try server.closeInput()
            try server.waitForExit()
            victim.send(SIGKILL)
            try victim.waitForExit()
            try RunningProgram.output(of: "umount", [mountPoint])
        }

        @Test func `P2 a local filesystem on a dead mount, or below one, is frozen`() throws {
            let filesystem = try UnheldFilesystem("beside-dead")
            let mountPoint = filesystem.mountPoint.string
            let lower = try SilentMount.make(.fuse, on: mountPoint)
            try RunningProgram.output(of: "mount", ["--no-canonicalize", filesystem.device.string, mountPoint])
            let upper = try SilentMount.make(.fuse, on: mountPoint)
            let victim = try victim(of: mountPoint)
            let rig = try DaemonRig()
            let answer = try rig.freeze()
            #expect(answer.status == .success, "\(rig.log)")
            #expect(answer.duration < .seconds(5))
            #expect(try rig.thaw().status == .success)
            let entry = try rig.record().filesystems.first {
                $0.action == .freeze && $0.mountPoint == FilePath(mountPoint)
            }
            #expect(entry?.freeze != nil && entry?.thaw != nil)
            try rig.waitUntilReleased()
            for server in [upper, lower] {
                try server.closeInput()
                try server.waitForExit()
            }
            try victim.waitForExit()
            for _ in 0..<3 { try RunningProgram.output(of: "umount", ["--lazy", mountPoint]) }
            try filesystem.remove()
        }
    }
}
