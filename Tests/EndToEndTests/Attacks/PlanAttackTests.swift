import Channels
import Foundation
import History
import LinuxCalls
import SystemPackage
import Testing

/// Names and mounts that users may choose, and what they must not make the plan believe.
extension EndToEnd {
    @Suite struct PlanAttackTests {
        @Test(arguments: ["a,ro", "x y#,subvol=@,ro"])
        func `P2 a btrfs is frozen whatever a user calls the subvolume that is mounted`(name: String) throws {
            let (image, mountPoint) = ("/tmp/of-a-user.img", FilePath("/mnt/of-a-user"))
            try RunningProgram.output(of: "truncate", ["--size", "256M", image])
            let device = try RunningProgram.output(of: "losetup", ["--find", "--show", image])
            let script = """
                mkfs.btrfs -q -f \(device); mkdir -p \(mountPoint); mount \(device) \(mountPoint)
                btrfs subvolume create "\(mountPoint)/$1"; umount \(mountPoint)
                mount -o subvolid=256 \(device) \(mountPoint)
                """
            try RunningProgram.output(of: "bash", ["-ec", script, "bash", name])
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(mountPoint))
            #expect(try rig.thaw().status == .success)
            let entry = try #require(try rig.record().filesystems.first { $0.mountPoint == mountPoint.string })
            #expect(entry.action == "freeze")
            try rig.waitUntilReleased()
            let end = "umount \(mountPoint); losetup --detach \(device); rm \(image)"
            try RunningProgram.output(of: "sh", ["-ec", end])
        }
    }
}
