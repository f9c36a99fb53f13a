import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Mount tables as machines have them: changing all the time, and with names that nobody would choose.
extension EndToEnd {
    @Suite struct MountFaultTests {
        @Test func `P1 a filesystem that is unmounted lazily in the window is thawed all the same`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            try RunningProgram.output(of: "umount", ["--lazy", filesystem.mountPoint.string])
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            // Frozen, it would be mounted frozen as it was.
            try RunningProgram.output(of: "mount", [filesystem.device.string, filesystem.mountPoint.string])
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }

        @Test(arguments: ["ro", "rw"])
        func `P2 a filesystem that a freeze hook makes read-only or writable is planned again`(
            option: String
        ) throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let before = option == "ro" ? "rw" : "ro"
            try RunningProgram.output(of: "mount", ["-o", "remount,\(before)", filesystem.mountPoint.string])
            let rig = try DaemonRig(hooks: [
                "10-remount": "[ $1 = thaw ] || mount -o remount,\(option) \(filesystem.mountPoint)"
            ])
            #expect(try rig.freeze().status == .success)
            #expect(try filesystem.isFrozen() == (option == "rw"))
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .application)
            let action = record.filesystems.first { $0.mountPoint == filesystem.mountPoint }?.action
            #expect(action == (option == "rw" ? .freeze : .skip))
            try rig.waitUntilReleased()
            try filesystem.remove()
        }

        @Test func `mounts that are none of our business come and go without harm`() throws {
            let rig = try DaemonRig(hooks: ["10-slow": "sleep 0.1"])
            try RunningProgram.output(of: "mkdir", ["-p", "/mnt/flapping"])
            let mounting = try RunningProgram(
                "sh", ["-c", "while :; do mount -t tmpfs none /mnt/flapping; umount /mnt/flapping; done"])
            try mounting.closeInput()
            for _ in 0..<10 {
                let answer = try rig.freeze()
                #expect(answer.status == .success, "\(rig.log)")
                #expect(try rig.thaw().status == .success)
            }
            mounting.send(SIGKILL)
            try mounting.waitForExit()
            _ = try RunningProgram.run("umount", ["/mnt/flapping"])
        }

        @Test func `P1 P2 a filesystem that is mounted and unmounted all the time fails no more than its request`()
            throws
        {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig()
            let (device, mountPoint) = (filesystem.device, filesystem.mountPoint)
            try RunningProgram.output(of: "umount", ["--lazy", mountPoint.string])
            let mounting = try RunningProgram(
                "sh",
                ["-c", "while :; do mount \(device) \(mountPoint); umount --lazy \(mountPoint); done"])
            try mounting.closeInput()
            for number in 1...5 {
                let isFrozen = try rig.freeze().status == .success
                // Frozen by itself, or not at all: never the root in its place, and never half a success.
                #expect(try FreezeProof.isFrozen("/") == isFrozen)
                // A filesystem mounted in the window may be torn in the snapshot: THAW fails (P3).
                let isThawed = try rig.thaw().status == .success
                let record = try rig.record(number: number)
                let reason = record.reason ?? ""
                #expect((record.result == .succeeded) == (isFrozen && isThawed), "\(reason)")
                let isNamed = reason.contains(mountPoint.string) || reason.contains(device.string)
                #expect(
                    isNamed || record.level == .filesystem, "\(record.level?.rawValue ?? "no level"): \(reason)")
            }
            mounting.send(SIGKILL)
            try mounting.waitForExit()
            _ = try RunningProgram.run("umount", ["--all-targets", mountPoint.string])
            try RunningProgram.output(of: "mount", [device.string, mountPoint.string])
            try rig.expectHealthy(freezing: [mountPoint])
            try filesystem.remove()
        }

        @Test func `complaint 8: mount points with any name, and files as mount points, are frozen`() throws {
            let odd = try ScratchFilesystem(.ext4)
            let single = try ScratchFilesystem(.ext4)
            let name = "/mnt/a b\tc\nd\\e\u{1B}[2J’"
            try RunningProgram.output(of: "mkdir", ["-p", name])
            try RunningProgram.output(of: "mount", ["--move", odd.mountPoint.string, name])
            // All that is left of the other one is a bind mount of one file (open-vm-tools #347).
            let file = "/mnt/single-file"
            try RunningProgram.output(of: "touch", [single.mountPoint.appending("file").string, file])
            try RunningProgram.output(
                of: "mount", ["--bind", single.mountPoint.appending("file").string, file])
            try RunningProgram.output(of: "umount", ["--lazy", single.mountPoint.string])
            let rig = try DaemonRig(hooks: ["10-list": "printf '%s\\n' \"$QUIESCE_MOUNTPOINTS\" >> $TRACE"])

            #expect(try rig.freeze().status == .success)
            #expect(try FreezeProof.isFrozen(FilePath(name)))
            let writer = try RunningProgram("sh", ["-c", "echo begun; echo x > \(file); echo done"])
            try writer.closeInput()
            try writer.waitForLine(in: .output) { $0 == "begun" }
            #expect(throws: RunningProgram.Failure.self) { try writer.waitForExit(within: .milliseconds(200)) }
            #expect(try rig.thaw().status == .success)
            #expect(try writer.waitForExit() == .exited(0))
            let record = try rig.record()
            #expect(record.filesystems.count { $0.freeze != nil && $0.thaw != nil } == 3)
            #expect(try rig.traced().contains("/mnt/a\\040b\\011c\\012d\\134e\\033[2J’"))
            #expect(try rig.traced().contains(file))
            #expect(rig.log.utf8.allSatisfy { $0 == 0x0A || $0 >= 0x20 })

            try rig.waitUntilReleased()
            try RunningProgram.output(of: "mount", ["--move", name, odd.mountPoint.string])
            try RunningProgram.output(of: "mount", [single.device.string, single.mountPoint.string])
            try odd.remove()
            try single.remove()
        }
    }
}
