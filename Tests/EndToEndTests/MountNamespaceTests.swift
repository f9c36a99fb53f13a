import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Filesystems that are mounted in other mount namespaces only.
extension EndToEnd {
    @Suite struct MountNamespaceTests {
        @Test func `P2 a filesystem that is mounted only in a container is frozen and thawed`() throws {
            let filesystem = try UnheldFilesystem("container-only")
            let container = try ScratchContainer(filesystem.mountCommand)
            let inside = container.path(filesystem.mountPoint)
            let rig = try DaemonRig(hooks: ["10-list": "printf '%s\\n' \"$1\" \"$QUIESCE_MOUNTPOINTS\" >> $TRACE"])

            let plan = try rig.control("plan")
            #expect(plan.ending == .exited(0), "\(plan.errors)")
            let words = plan.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(words.contains("process \(container.processID)"), "\(plan.output)")
            let json = try rig.control("plan", "--json").output
            #expect(json.contains("\"pid\" : \(container.processID)"), "\(json)")

            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(inside))
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            #expect(try !FreezeProof.isFrozen(inside))
            let record = try rig.record()
            #expect(record.level == .application)
            let entry = record.filesystems.first { $0.mountPoint == filesystem.mountPoint }
            #expect(entry?.freeze != nil && entry?.thaw != nil)
            #expect(
                entry?.reason.hasSuffix(
                    "mounted only in the mount namespace of process \(container.processID) (cat)")
                    == true, "\(entry?.reason ?? "")")
            try rig.waitForTrace("thaw")
            // For a hook the path would mean something else.
            #expect(try rig.traced() == ["freeze", "/", "thaw", "/"])
            // Nothing of the container is held any longer than the request.
            try rig.waitUntilReleased()
            try container.end()
            try filesystem.remove()
        }

        @Test func `own leaves the filesystems of containers alone`() throws {
            let filesystem = try UnheldFilesystem("not-looked-at")
            let container = try ScratchContainer(filesystem.mountCommand)
            let rig = try DaemonRig(configuration: ["filesystems": "mount_namespaces = \"own\""])
            #expect(try rig.freeze().status == .success)
            #expect(try !FreezeProof.isFrozen(container.path(filesystem.mountPoint)))
            #expect(try rig.thaw().status == .success)
            #expect(try !rig.record().filesystems.contains { $0.mountPoint == filesystem.mountPoint })
            try rig.waitUntilReleased()
            try container.end()
            try filesystem.remove()
        }

        @Test func `P6 a filesystem in an image on a container's overlay is frozen before what holds the overlay`()
            throws
        {
            let holder = try ScratchFilesystem(.ext4, mebibytes: 256)
            let container = try ScratchContainer(
                """
                cd \(holder.mountPoint); mkdir -p lower upper work /mnt/overlay /mnt/in-overlay
                mount -t overlay -o lowerdir=lower,upperdir=\(holder.mountPoint)/upper,workdir=work none /mnt/overlay
                truncate --size 32M /mnt/overlay/disk.img; mkfs.ext4 -q -F /mnt/overlay/disk.img
                losetup --find --show /mnt/overlay/disk.img > /tmp/in-overlay
                mount $(cat /tmp/in-overlay) /mnt/in-overlay; cd /
                """)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen(container.path("/mnt/in-overlay")))
            #expect(try holder.isFrozen())
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let inner = try #require(record.filesystems.first { $0.mountPoint == "/mnt/in-overlay" })
            let outer = try #require(record.filesystems.first { $0.mountPoint == holder.mountPoint })
            #expect(try #require(inner.freeze).ended <= #require(outer.freeze).started)
            try rig.waitUntilReleased()
            try container.run("umount", "/mnt/in-overlay")
            try RunningProgram.output(of: "sh", ["-c", "losetup --detach $(cat /tmp/in-overlay)"])
            try container.end()
            try holder.remove()
        }

        @Test
        func `a container that a freeze hook starts is planned again, and one that ends is frozen to the end`()
            throws
        {
            let filesystem = try UnheldFilesystem("comes-and-goes")
            let rig = try DaemonRig()
            try rig.install(
                hook: "10-start",
                """
                [ $1 = freeze ] || exit 0
                unshare --mount sh -c '\(filesystem.mountCommand); touch \(rig.trace).up; exec sleep 1000' \\
                    </dev/null >/dev/null 2>&1 &
                echo $! > $TRACE.pid
                \(DaemonRig.waiting(forGate: "up"))
                """)
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            let process = try RunningProgram.output(of: "cat", ["\(rig.trace).pid"])
            let inside = FilePath("/proc/\(process)/root\(filesystem.mountPoint)")
            #expect(try FreezeProof.isFrozen(inside))
            #expect(try rig.thaw().status == .success)
            try rig.daemon.waitForLine { $0.contains("planning again") }
            #expect(try rig.record().filesystems.contains { $0.mountPoint == filesystem.mountPoint })
            try rig.waitUntilReleased()

            // Its last process ends, but what is planned is open: frozen or not, it is no failure.
            try rig.install(hook: "10-start", "[ $1 = thaw ] || kill -KILL \(process)")
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record(number: 2).result == .succeeded)
            try rig.waitUntilReleased()
            try filesystem.remove()
        }

        @Test func `P1 a container that ends in the window leaves nothing frozen`() throws {
            let filesystem = try UnheldFilesystem("ends-in-window")
            let container = try ScratchContainer(filesystem.mountCommand)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            try container.end()
            #expect(try rig.thaw().status == .success)
            try rig.waitUntilReleased()
            // Frozen, it would live on in its device.
            try filesystem.remove()
        }

        @Test func `P2 a filesystem mounted in a container while others are being frozen fails the request`()
            throws
        {
            let late = try UnheldFilesystem("late-in-container")
            let container = try ScratchContainer("")
            let rig = try DaemonRig(hasStopPoints: true)
            let answer = try rig.freeze(meanwhile: "after FIFREEZE 1") {
                try container.run("mount", late.device.string, late.mountPoint.string)
            }
            #expect(answer.status == .failure)
            #expect(try rig.thaw().status == .success)
            let reason = try #require(try rig.record().reason)
            #expect(
                reason.contains(
                    "\(late.mountPoint) in the mount namespace of process \(container.processID) (cat) (ext4 on "
                        + "\(late.device)) was mounted"), "\(reason)")
            try rig.waitUntilReleased()
            try container.end()
            try late.remove()
        }
    }
}
