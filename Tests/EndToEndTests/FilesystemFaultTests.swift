import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Filesystems that cannot be frozen, or must not be, or that come and go: never a success with a hole in it.
extension EndToEnd {
    @Suite struct FilesystemFaultTests {
        @Test func `complaint 9, P5: what somebody else froze stays frozen, and the request fails by name`() throws
        {
            let foreign = try ScratchFilesystem(.ext4)
            let other = try ScratchFilesystem(.xfs)
            let rig = try DaemonRig(hooks: ["10-hook": "echo $1 $QUIESCE_RESULT >> $TRACE"])
            try foreign.freeze()
            #expect(try rig.freeze().status == .failure)
            #expect(try foreign.isFrozen())
            #expect(try !other.isFrozen())
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            #expect(try foreign.isFrozen())

            let record = try rig.record()
            let reason = try #require(record.reason)
            #expect(reason.contains(foreign.mountPoint.string), "\(reason)")
            #expect(reason.contains("frozen already, by somebody else") && reason.contains("fsfreeze -u"))
            let failed = record.filesystems.filter { $0.freeze?.error != nil }
            #expect(failed.map(\.mountPoint) == [foreign.mountPoint])
            #expect(failed.first?.freeze?.error == .resourceBusy)
            #expect(failed.first?.thaw == nil)
            for frozen in record.filesystems where frozen.freeze != nil && frozen.freeze?.error == nil {
                #expect(frozen.thaw != nil && frozen.thaw?.error == nil, "\(frozen.mountPoint)")
            }
            #expect(try rig.traced() == ["freeze", "thaw failed"])

            try foreign.thaw()
            try rig.expectHealthy(freezing: [foreign.mountPoint, other.mountPoint])
            try foreign.remove()
            try other.remove()
        }

        @Test func `complaint 6, P2: a filesystem whose device fails in FIFREEZE fails the request by name`()
            throws
        {
            let failing = try ScratchFilesystem(.ext4, options: ["-E", "lazy_itable_init=0,lazy_journal_init=0"])
            let other = try ScratchFilesystem(.ext4)
            try DeviceFailure.usedJournal(of: failing)
            let rig = try DaemonRig(hasStopPoints: true)
            // After the last flush. FIFREEZE writes the superblock, where the device has ended.
            let answer = try rig.freeze(meanwhile: "before FIFREEZE 1") {
                try RunningProgram.output(of: "truncate", ["--size", "0", DeviceFailure.image(of: failing)])
                try RunningProgram.output(of: "losetup", ["--set-capacity", failing.device.string])
            }
            #expect(answer.status == .failure)
            #expect(try !other.isFrozen())
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let failed = record.filesystems.filter { $0.freeze?.error != nil }
            #expect(failed.map(\.mountPoint) == [failing.mountPoint])
            #expect(failed.first?.freeze?.error == .ioError)
            let reason = try #require(record.reason)
            #expect(reason.contains("\(failing.mountPoint): flushing it failed (EIO)"), "\(reason)")
            // The kernel says EINVAL to whoever thaws what is not frozen.
            #expect(throws: RunningProgram.Failure.self) { try failing.thaw() }

            try rig.waitUntilReleased()
            try failing.remove()
            try rig.expectHealthy(freezing: [other.mountPoint])
            try other.remove()
        }

        /// The kernel tells FITHAW nothing of what it could not write (fs/ext4/super.c: `ext4_unfreeze`; jfs alone does).
        @Test(arguments: ScratchFilesystem.Kind.allCases)
        func `P1 a filesystem whose device fails in the window is thawed all the same`(
            kind: ScratchFilesystem.Kind
        ) throws {
            let failing = try ScratchFilesystem(kind)
            let other = try ScratchFilesystem(.ext4)
            try DeviceFailure.usedJournal(of: failing)
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            try RunningProgram.output(of: "truncate", ["--size", "0", DeviceFailure.image(of: failing)])
            try RunningProgram.output(of: "losetup", ["--set-capacity", failing.device.string])
            let answer = try rig.thaw()
            print("MEASURED: FITHAW of \(kind) without its device: THAW is answered with \(answer.status)")
            #expect(answer.duration < .seconds(20))
            let record = try rig.record()
            let thaw = try #require(record.filesystems.first { $0.mountPoint == failing.mountPoint }?.thaw)
            #expect((answer.status == .success) == (thaw.error == nil))
            // The kernel says EINVAL to whoever thaws what is not frozen.
            #expect(throws: RunningProgram.Failure.self) { try failing.thaw() }
            for mountPoint in [other.mountPoint, "/"] { #expect(try !FreezeProof.isFrozen(mountPoint)) }
            let writer = try RunningProgram.run(
                "dd",
                ["if=/dev/zero", "of=\(failing.mountPoint)/late", "count=4", "conv=fsync", "status=none"])
            #expect(writer.ending == .exited(1), "the device is gone")
            // The next backup says so, by name. A btrfs has become read-only.
            #expect(try (rig.freeze().status == .failure) == (kind != .btrfs))
            #expect(try rig.thaw().status == .success)
            let next = try rig.record(number: 2)
            let named = next.filesystems.first { $0.mountPoint == failing.mountPoint }?.reason ?? ""
            #expect(next.reason?.contains(failing.mountPoint.string) == true || named.contains("read-only"))
            try rig.waitUntilReleased()
            try failing.remove()
            try rig.expectHealthy(freezing: [other.mountPoint])
            try other.remove()
        }

        @Test(arguments: ScratchFilesystem.Kind.allCases)
        func `P2 a filesystem that cannot be flushed fails the request before anything is frozen`(
            kind: ScratchFilesystem.Kind
        ) throws {
            let failing = try ScratchFilesystem(kind)
            let rig = try DaemonRig(hooks: ["10-hook": "echo $1 >> $TRACE"])
            try RunningProgram.output(
                of: "dd",
                ["if=/dev/zero", "of=\(failing.mountPoint)/dirty", "bs=1M", "count=4", "status=none"])
            try RunningProgram.output(of: "truncate", ["--size", "0", DeviceFailure.image(of: failing)])
            try RunningProgram.output(of: "losetup", ["--set-capacity", failing.device.string])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.window == nil)
            #expect(record.reason?.hasPrefix("\(failing.mountPoint): flushing it failed") == true)
            #expect(try rig.traced().isEmpty)
            try rig.waitUntilReleased()
            try failing.remove()
            try rig.expectHealthy(freezing: [])
        }

        @Test func `P1 a flush that hangs is given up in time and named, and the next backup works`() throws {
            let outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            let inner = try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint))
            let rig = try DaemonRig(
                configuration: [
                    "filesystems": "exclude = [\"\(outer.mountPoint)\"]", "freeze": "flush_timeout = \"1s\"",
                ])
            try RunningProgram.output(of: "sync", ["--file-system", outer.mountPoint.string])
            try outer.freeze()
            // In the page cache only: it is written to the frozen filesystem by the flush.
            try RunningProgram.output(
                of: "dd", ["if=/dev/zero", "of=\(inner.mountPoint)/dirty", "bs=1M", "count=4", "status=none"])
            let answer = try rig.freeze()
            #expect(answer.status == .failure)
            #expect(answer.duration < .seconds(8))
            #expect(try !FreezeProof.isFrozen("/"))
            let record = try rig.record()
            #expect(record.reason?.hasPrefix("\(inner.mountPoint): flushing took longer") == true)
            #expect(record.reason?.contains("; /proc/meminfo has Dirty ") == true, "\(record.reason ?? "")")
            #expect(record.reason?.contains("vm.dirty_bytes") == true)
            #expect(record.window == nil)
            // While it hangs, another request ends in time as well.
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            try outer.thaw()
            try rig.expectHealthy(freezing: [inner.mountPoint])
            try inner.remove()
            try outer.remove()
        }

        @Test func `P3 what somebody else thaws in the window makes its THAW fail`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(hooks: ["10-hook": "echo $1 $QUIESCE_RESULT >> $TRACE"])
            #expect(try rig.freeze().status == .success)
            try filesystem.thaw()
            #expect(try rig.thaw().status == .failure)
            let record = try rig.record()
            #expect(record.isLost)
            #expect(record.reason?.hasPrefix("\(filesystem.mountPoint): somebody else thawed it") == true)
            #expect(try rig.traced() == ["freeze", "thaw failed"])
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }

        @Test func `P4 hooks are thawed at once when the plan cannot be made again`() throws {
            let leaving = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(
                configuration: ["filesystems": "include = [\"\(leaving.mountPoint)\"]"],
                hooks: [
                    "10-first": "echo \"first $1 $QUIESCE_RESULT\" >> $TRACE",
                    "20-change": """
                    if [ $1 = freeze ]; then umount --lazy \(leaving.mountPoint); fi
                    echo "second $1 $QUIESCE_RESULT" >> $TRACE
                    """,
                ])
            let answer = try rig.freeze()
            #expect(answer.status == .failure)
            let record = try rig.record(within: .seconds(5))
            #expect(record.result == .failed)
            #expect(record.reason?.contains(leaving.mountPoint.string) == true, "\(record.reason ?? "")")
            #expect(
                try rig.traced() == ["first freeze ", "second freeze ", "second thaw failed", "first thaw failed"])
            try rig.waitUntilReleased()
            try RunningProgram.output(of: "mount", [leaving.device.string, leaving.mountPoint.string])
            try leaving.remove()
        }

        @Test func `a filesystem that a freeze hook takes away, and one that it brings, are planned again`() throws
        {
            let leaving = try ScratchFilesystem(.ext4)
            let coming = try ScratchFilesystem(.ext4)
            try RunningProgram.output(of: "umount", ["--lazy", coming.mountPoint.string])
            let rig = try DaemonRig(hooks: [
                "10-change": """
                if [ $1 = freeze ]; then
                    umount --lazy \(leaving.mountPoint)
                    mount \(coming.device) \(coming.mountPoint)
                fi
                echo "$1 $QUIESCE_RESULT" >> $TRACE
                """
            ])
            #expect(try rig.freeze().status == .success)
            #expect(try coming.isFrozen())
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.result == .succeeded)
            // The test holds a descriptor of the unmounted filesystem, so writes were possible.
            #expect(record.level == .crash)
            #expect(record.unreachable.map(\.source) == [leaving.device.string])
            let frozen = record.filesystems.filter { $0.freeze != nil }.map(\.mountPoint)
            #expect(Set(frozen) == ["/", coming.mountPoint])
            #expect(try rig.traced() == ["freeze ", "thaw ok"])
            try rig.daemon.waitForLine { $0.contains("planning again") }
            try rig.waitUntilReleased()
            // Not frozen under its detached mount either: it can be mounted and written to.
            try RunningProgram.output(of: "mount", [leaving.device.string, leaving.mountPoint.string])
            try RunningProgram.output(of: "touch", [leaving.mountPoint.appending("file").string])
            try leaving.remove()
            try coming.remove()
        }

        @Test func `P2 a filesystem mounted while others are being frozen fails the request`() throws {
            let other = try ScratchFilesystem(.ext4)
            let late = try ScratchFilesystem(.ext4)
            try RunningProgram.output(of: "umount", ["--lazy", late.mountPoint.string])
            let rig = try DaemonRig(hasStopPoints: true)
            let answer = try rig.freeze(meanwhile: "after FIFREEZE 1") {
                try RunningProgram.output(of: "mount", [late.device.string, late.mountPoint.string])
            }
            #expect(answer.status == .failure)
            for mountPoint in [other.mountPoint, late.mountPoint, "/"] {
                #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)")
            }
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let reason = try #require(record.reason)
            #expect(reason.contains("the mount table changed while freezing: \(late.mountPoint)"), "\(reason)")
            #expect(record.filesystems.first { $0.mountPoint == "/" }?.thaw != nil)
            try rig.expectHealthy(freezing: [other.mountPoint, late.mountPoint])
            for filesystem in [late, other] { try filesystem.remove() }
        }

        @Test(arguments: ["exclude = [\"**\"]", "include = [\"fstype:ocfs2\"]"])
        func `P2 with no filesystem left to freeze a FREEZE fails and says where to look`(section: String) throws {
            let rig = try DaemonRig(configuration: ["filesystems": section])
            #expect(try rig.hotBackup().status == .success)
            try rig.daemon.waitForLine { $0.contains("a FREEZE now would fail: [filesystems]: there is no") }
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let reason = try #require(record.reason)
            #expect(reason.contains("there is no filesystem to freeze") && reason.contains("quiescectl plan"))
            // Why it is left out is in the record as well.
            #expect(record.filesystems.first { $0.mountPoint == "/" }?.reason.contains("clude") == true)
            #expect(record.window == nil)
        }

        @Test(arguments: [true, false])
        func `include and exclude are obeyed`(isIncluded: Bool) throws {
            let wanted = try ScratchFilesystem(.ext4)
            let unwanted = try ScratchFilesystem(.ext4)
            let section =
                isIncluded
                ? "include = [\"\(wanted.mountPoint)\", \"/\"]" : "exclude = [\"\(unwanted.device)\"]"
            let rig = try DaemonRig(configuration: ["filesystems": section])
            #expect(try rig.freeze().status == .success)
            #expect(try wanted.isFrozen() && FreezeProof.isFrozen("/"))
            #expect(try !unwanted.isFrozen())
            try RunningProgram.output(of: "touch", [unwanted.mountPoint.appending("file").string])
            #expect(try rig.thaw().status == .success)
            let left = try rig.record().filesystems.first { $0.mountPoint == unwanted.mountPoint }
            #expect(left?.action == .skip)
            #expect(left?.reason.contains(isIncluded ? "not in include" : "excluded by") == true)
            try rig.waitUntilReleased()
            try wanted.remove()
            try unwanted.remove()
        }

        @Test func `a read-only superblock is skipped, a read-only mount of a writable one is not`() throws {
            let readOnly = try ScratchFilesystem(.ext4)
            let writable = try ScratchFilesystem(.ext4)
            try RunningProgram.output(of: "mount", ["-o", "remount,ro", readOnly.mountPoint.string])
            try RunningProgram.output(of: "mount", ["-o", "remount,bind,ro", writable.mountPoint.string])
            let rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            #expect(try writable.isFrozen())
            #expect(try !readOnly.isFrozen())
            #expect(try rig.thaw().status == .success)
            let skipped = try rig.record().filesystems.first { $0.mountPoint == readOnly.mountPoint }
            #expect(skipped?.action == .skip && skipped?.reason.contains("read-only") == true)
            try rig.waitUntilReleased()
            try readOnly.remove()
            try writable.remove()
        }
    }
}
