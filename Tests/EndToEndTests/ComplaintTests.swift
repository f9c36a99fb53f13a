import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// What users of the agents before this one suffered from, by the trackers of those agents. Each has a number, and each
/// number a test whose name begins with it: what an older test proves already is not proven here once more.
///
///  1. FIFREEZE hangs, and with it the agent's own timeout (azure-linux-extensions #1868): HangingFreezeTests
///  2. THAW never comes from the host (open-vm-tools #27): WindowEndTests
///  3. The agent is killed while frozen, and frozen it stays (velero #2113): KillTests
///  4. The agent logs to what it froze (backupessentials #1): LogFaultTests
///  5. A loop device's filesystem is frozen after its image's (open-vm-tools #6): LiveBackupTests, WrongOrderTests
///  6. One filesystem that cannot be frozen fails it all, unnamed: UnfreezableTests, FilesystemFaultTests
///  7. Another filesystem is thawed than was frozen: here
///  8. Sockets and files as mount points (open-vm-tools #347): here, MountFaultTests
///  9. Somebody else's freeze is thawed: FilesystemFaultTests
/// 10. A dead network mount hangs the agent: MountHangTests
/// 11. Hooks: lost output, no timeout or one without a unit (velero #2599), no thaw after an error (velero #511), and a
///     failure that nobody notices (ec2-consistent-snapshot #49): here, HookFaultTests, StartFaultTests
/// 12. Nobody says what is frozen, what would be, which filesystem was slow; nothing can be left out: here, DryRunTests
extension EndToEnd {
    @Suite struct ComplaintTests {
        @Test func `complaint 7, P5: what was frozen is thawed, and not what has been mounted in its place`()
            throws
        {
            let frozen = try ScratchFilesystem(.ext4)
            let other = try ScratchFilesystem(.xfs)
            let rig = try DaemonRig(configuration: ["filesystems": "include = [\"\(frozen.mountPoint)\"]"])
            #expect(try rig.freeze().status == .success)
            #expect(try frozen.isFrozen())
            // Whoever looks the mount point up again finds the other one now, frozen too, and not by us.
            try RunningProgram.output(of: "mount", [other.device.string, frozen.mountPoint.string])
            try other.freeze()
            #expect(try rig.thaw().status == .success)
            #expect(try other.isFrozen())
            try other.thaw()
            try RunningProgram.output(of: "umount", [frozen.mountPoint.string])
            #expect(try !frozen.isFrozen())
            #expect(try rig.record().result == .succeeded)
            try rig.waitUntilReleased()
            try frozen.remove()
            try other.remove()
        }

        @Test func `complaint 8: a socket, a pipe, a file and a deleted file as mount points fail nothing`() throws
        {
            let filesystem = try ScratchFilesystem(.ext4)
            // The file stays when the socket is closed.
            try bindDatagramSocket(at: filesystem.mountPoint.appending("socket").string).close()
            try RunningProgram.output(
                of: "sh",
                [
                    "-c",
                    """
                    cd \(filesystem.mountPoint) && mkfifo pipe && touch file deleted && mkdir /mnt/points &&
                    for name in socket pipe file deleted; do
                        touch /mnt/points/$name && mount --bind $name /mnt/points/$name || exit
                    done
                    rm deleted
                    """,
                ])
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try filesystem.isFrozen())
            #expect(try rig.thaw().status == .success)
            // One filesystem, however often it is mounted, and named by the mount point that is a directory.
            let record = try rig.record()
            #expect(
                Set(record.filesystems.filter { $0.freeze != nil }.map(\.mountPoint))
                    == ["/", filesystem.mountPoint])
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try RunningProgram.output(of: "sh", ["-c", "umount /mnt/points/* && rm -r /mnt/points"])
            try filesystem.remove()
        }

        @Test func `complaint 11, P2: a program that a hook does not find fails the backup, and is named`() throws
        {
            let rig = try DaemonRig(hooks: ["10-database": "database-lock --now"])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let reason = try #require(try rig.record().reason)
            #expect(reason.contains("10-database exited with status 127"), "\(reason)")
            #expect(reason.contains("database-lock: not found"), "\(reason)")
            try rig.daemon.waitForLine { $0.contains(" error ") && $0.contains("database-lock: not found") }
            // The system's own programs are found, whatever PATH the daemon was started with.
            try rig.install(hook: "10-database", "command -v fsfreeze >> $TRACE")
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.traced().first?.hasSuffix("bin/fsfreeze") == true)
        }

        @Test func `complaint 12: it is told what would be frozen and why not, and what was, and how long`() throws
        {
            let wanted = try ScratchFilesystem(.ext4)
            let unwanted = try ScratchFilesystem(.xfs)
            let rig = try DaemonRig(
                configuration: ["filesystems": "exclude = [\"\(unwanted.mountPoint)\"]"],
                hooks: ["10-hook": "true"])
            let plan = try rig.control("plan")
            #expect(plan.ending == .exited(0))
            func line(of filesystem: ScratchFilesystem, in text: String) throws -> Substring {
                try #require(
                    text.split(separator: "\n").first { $0.contains(filesystem.mountPoint.string) }, "\(text)")
            }
            #expect(try line(of: wanted, in: plan.output).contains("freeze"))
            #expect(try line(of: unwanted, in: plan.output).contains("skip"))
            #expect(plan.output.contains("exclude"))

            #expect(try rig.freeze().status == .success)
            #expect(try wanted.isFrozen() && !unwanted.isFrozen())
            let status = try rig.status()
            #expect(status.state == .frozen)
            #expect(
                Set((status.request?.filesystems ?? []).filter { $0.progress == "frozen" }.map(\.mountPoint))
                    == [wanted.mountPoint.string, "/"])
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let frozen = record.filesystems.filter { $0.action == .freeze }
            #expect(Set(frozen.map(\.mountPoint)) == [wanted.mountPoint, "/"])
            for filesystem in frozen {
                #expect(filesystem.freeze?.error == nil && filesystem.freeze?.duration ?? .zero > .zero)
                #expect(filesystem.thaw?.error == nil && filesystem.thaw?.duration ?? .zero > .zero)
            }
            let show = try rig.control("show")
            #expect(show.ending == .exited(0))
            let row = show.output.split(separator: "\n").first { $0.contains("freeze \(wanted.mountPoint)") }
            #expect(row?.contains(/\d+\.\d/) == true, "\(show.output)")
            #expect(show.output.contains("10-hook"))
            try rig.waitUntilReleased()
            try wanted.remove()
            try unwanted.remove()
        }
    }
}
