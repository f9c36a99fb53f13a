import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// The main job: a host asks, real filesystems are frozen in order, hooks run, the host is answered.
extension EndToEnd {
    @Suite struct LiveBackupTests {
        @Test func `complaint 5, P2 P6: everything is frozen between the answers and nothing before or after`()
            throws
        {
            let outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            let xfs = try ScratchFilesystem(.xfs)
            let btrfs = try ScratchFilesystem(.btrfs)
            let subvolume: FilePath = "/mnt/second-subvolume"
            for name in ["one", "two"] {
                try RunningProgram.output(
                    of: "btrfs", ["subvolume", "create", btrfs.mountPoint.appending(name).string])
            }
            try RunningProgram.output(of: "mkdir", ["-p", subvolume.string])
            try RunningProgram.output(of: "mount", ["-o", "subvol=two", btrfs.device.string, subvolume.string])
            let inner = try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint))
            let all = [inner.mountPoint, outer.mountPoint, xfs.mountPoint, btrfs.mountPoint, subvolume, "/"]
            // The hook looks itself: nothing is frozen when it is asked to get ready.
            let rig = try DaemonRig(hooks: [
                "10-look": """
                for mount in \(all.map(\.string).joined(separator: " ")); do
                    touch "$mount/written-by-hook-$1" && echo "$1 $mount" >> $TRACE
                done
                """
            ])

            #expect(try rig.hotBackup().status == .success)
            #expect(try rig.freeze().status == .success)
            for mountPoint in all { #expect(try FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
            #expect(try rig.traced() == all.map { "freeze \($0)" })

            // A write started now waits for the thaw, and then succeeds.
            let writer = try RunningProgram(
                "sh", ["-c", "echo begun; echo data > \(inner.mountPoint)/late && echo done"])
            try writer.closeInput()
            try writer.waitForLine(in: .output) { $0 == "begun" }
            #expect(throws: RunningProgram.Failure.self) { try writer.waitForExit(within: .milliseconds(300)) }

            #expect(try rig.thaw().status == .success)
            #expect(try writer.waitForExit() == .exited(0))
            for mountPoint in all { #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
            try rig.waitForTrace("thaw /")
            #expect(try rig.traced() == (all.map { "freeze \($0)" } + all.map { "thaw \($0)" }))

            let record = try rig.record()
            #expect(record.result == .succeeded)
            #expect(record.level == .application)
            // P6, in what the kernel was asked: the inner one was frozen before the outer, and thawed after it.
            let innerRecord = try #require(record.filesystems.first { $0.mountPoint == inner.mountPoint })
            let outerRecord = try #require(record.filesystems.first { $0.mountPoint == outer.mountPoint })
            #expect(try #require(innerRecord.freeze).ended <= #require(outerRecord.freeze).started)
            #expect(
                try #require(outerRecord.thaw).ended <= #require(innerRecord.thaw).started + .microseconds(500))
            #expect(record.filesystems.count { $0.freeze != nil } == 5)

            try rig.waitUntilReleased()
            try RunningProgram.output(of: "umount", [subvolume.string])
            try RunningProgram.output(of: "rmdir", [subvolume.string])
            for filesystem in [inner, outer, xfs, btrfs] { try filesystem.remove() }
            #expect(try rig.stop() == .exited(0))
        }
    }
}
