import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Names and mounts chosen by users must not mislead the plan.
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
            let entry = try #require(try rig.record().filesystems.first { $0.mountPoint == mountPoint })
            #expect(entry.action == .freeze)
            try rig.waitUntilReleased()
            let end = "umount \(mountPoint); losetup --detach \(device); rm \(image)"
            try RunningProgram.output(of: "sh", ["-ec", end])
        }

        @Test(arguments: ["/dev/loop-of-a-user", "/mnt/user"])
        func `P2 a user's FUSE mount is not the filesystem that include names`(entry: String) throws {
            let script = """
                [ -e /dev/fuse ] || mknod /dev/fuse c 10 229; exec 3<>/dev/fuse; mkdir -p /mnt/user
                mount -i -t fuse -o fd=3,rootmode=40000,user_id=1000,group_id=1000 /dev/loop-of-a-user /mnt/user
                echo mounted; exec cat
                """
            let server = try RunningProgram("sh", ["-ec", script])
            try server.waitForLine(in: .output) { $0 == "mounted" }
            let rig = try DaemonRig(configuration: ["filesystems": "include = [\"/\", \"\(entry)\"]"])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let reason = try #require(try rig.record().reason)
            #expect(reason.hasPrefix("\(entry): is in [filesystems] include, but"), "\(reason)")
            try rig.waitUntilReleased()
            try server.closeInput()
            try server.waitForExit()
            try RunningProgram.output(of: "umount", ["/mnt/user"])
        }

        @Test func `P2 exclude drops no filesystem for a directory of it that is mounted below the pattern`()
            throws
        {
            let script = """
                mkdir -p /var/pods/1 /mnt/pods/part /mnt/pods/all
                mount --bind /var/pods/1 /mnt/pods/part; mount --bind / /mnt/pods/all
                """
            try RunningProgram.output(of: "sh", ["-ec", script])
            let pod = try ScratchFilesystem(.ext4)
            try RunningProgram.output(of: "mkdir", ["-p", "/mnt/pods/own"])
            try RunningProgram.output(of: "mount", ["--move", pod.mountPoint.string, "/mnt/pods/own"])
            let rig = try DaemonRig(configuration: ["filesystems": "exclude = [\"/mnt/pods/**\"]"])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try !FreezeProof.isFrozen("/mnt/pods/own"), "all of it is mounted there, and only there")
            #expect(try rig.thaw().status == .success)
            let warning = "/mnt/pods/** in [filesystems] exclude matches "
            #expect(rig.log.contains(warning), "\(rig.log)")
            let (plan, check) = (try rig.control("plan"), try rig.control("check"))
            for text in [plan.output, check.output] {
                let words = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
                #expect(words.contains(warning + "/mnt/pods/"), "\(text)")
            }
            try rig.waitUntilReleased()
            let end = "umount /mnt/pods/part /mnt/pods/all; mount --move /mnt/pods/own \(pod.mountPoint)"
            try RunningProgram.output(of: "sh", ["-ec", end])
            try pod.remove()
        }
    }
}
