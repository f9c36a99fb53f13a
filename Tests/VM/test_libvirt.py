"""The port of QEMU's guest agent, with libvirt as its client."""
from __future__ import annotations

import base64
import json
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import libvirt
from agent_case import AgentGroup
from case import FROZEN, expect, expect_equal
from copies import KINDS, Copies, check_snapshot, output
from kubevirt import REQUIRED, Poller
from machine import Done
from writers import Writers

# All of FROZEN, and /srv/vfat flushed.
FROZE = f"Froze {len(FROZEN) + 1} filesystem(s)"
FROZE_WITH_NTFS = f"Froze {len(FROZEN) + 2} filesystem(s)"
THAWED = f"Thawed {len(FROZEN)} filesystem(s)"
MOUNTED = sorted([*FROZEN, "/srv/subvolume", "/srv/vfat"])
# What `make_filesystems` mounts.
MOUNT = """set -e; disks=/dev/disk/by-id/virtio
mount $disks-xfs /srv/xfs; mount $disks-btrfs /srv/btrfs; mount -o subvol=inner $disks-btrfs /srv/subvolume
mount /dev/group/data /srv/lvm; mount $disks-vfat /srv/vfat; mount -o loop /var/loop.img /srv/loop"""
RECORDING_HOOK = "#!/bin/sh\necho $1 $QUIESCE_CHANNEL $QUIESCE_RESULT >>/run/calls\n"
FAILING_HOOK = "#!/bin/sh\n[ $1 = thaw ] || { echo the disk is on fire; exit 3; }\n"
# The deadline of a relayed command, and what the rest may take on an emulated machine.
DEADLINE = 8
SLACK = 12


class Libvirt(AgentGroup):
    """libvirt's daemon has the host's end of the port; virsh is its client."""

    launcher = libvirt.Libvirt

    def set_up(self) -> None:
        super().set_up()
        # qemu-ga's guest-shutdown runs `shutdown +0`, which needs it.
        self.machine.run("systemctl unmask systemd-logind && systemctl start systemd-logind")

    @property
    def libvirt(self) -> libvirt.Libvirt:
        assert isinstance(self.machine.launcher, libvirt.Libvirt)
        return self.machine.launcher

    def virsh(self, command: str, *arguments: str | Path) -> str:
        return self.libvirt.virsh(command, libvirt.NAME, *arguments)

    def table(self, command: str) -> list[list[str]]:
        """The rows of a table, without its head."""
        return [line.split() for line in self.virsh(command).splitlines()[2:]]

    def failure(self, command: str, *arguments: str | Path) -> str:
        """The error of a command that has to fail."""
        return self.error(self.libvirt.attempt(command, libvirt.NAME, *arguments))

    @staticmethod
    def error(done: Done) -> str:
        expect(done.status == 1 and done.err.startswith("error: "),
               f"virsh {done.command}: exit status {done.status}, and not a failure\n{done.out}{done.err}")
        return done.err

    def ask(self, command: str, **arguments: object) -> object:
        """The result of a command that virsh has no name for."""
        request = {"execute": command} | ({"arguments": arguments} if arguments else {})
        return json.loads(self.virsh("qemu-agent-command", json.dumps(request)))["return"]

    def freeze(self, success: bool = True) -> None:
        expect_equal(self.virsh("domfsfreeze"), FROZE, "domfsfreeze")

    def thaw(self, success: bool = True) -> None:
        expect_equal(self.virsh("domfsthaw"), THAWED, "domfsthaw")

    def backup(self) -> None:
        self.freeze()
        self.expect_frozen(FROZEN)
        self.thaw()
        self.expect_thawed(FROZEN)
        self.wait_until_idle()

    def expect_lost(self) -> None:
        """The next thaw is an error, once; the next backup is good."""
        expect_equal(self.ask("guest-fsfreeze-status"), "thawed", "the status")
        self.say(self.failure("domfsthaw").splitlines()[-1])
        expect_equal(self.virsh("domfsthaw"), "Thawed 0 filesystem(s)", "the thaw after that")
        self.backup()

    # --- Commands ---

    def case_ping(self) -> None:
        """`qemu-agent-command` with guest-ping, and with one that is unknown."""
        expect_equal(self.ask("guest-ping"), {}, "the reply")
        expect("The command guest-none has not been found" in self.failure(
            "qemu-agent-command", '{"execute":"guest-none"}'), "an unknown command")

    def case_fsinfo(self) -> None:
        """`domfsinfo` lists each filesystem, with its disk as libvirt calls it."""
        found = {row[0]: row for row in self.table("domfsinfo")}
        expect_equal(sorted(found), MOUNTED, "the mount points")
        for mount_point, kind, disks in (
                ("/", "ext4", ["vda"]), ("/srv/xfs", "xfs", ["vdb"]), ("/srv/lvm", "ext4", ["vdd", "vde"])):
            row = found[mount_point]
            expect_equal((row[2], sorted(row[3].split(","))), (kind, disks), mount_point)

    def case_guestinfo(self) -> None:
        """`guestinfo`: system, users, time zone, host name, filesystems."""
        found = dict(line.split(": ", 1) for line in self.virsh("guestinfo").splitlines())
        found = {key.strip(): value for key, value in found.items()}
        for key, value in (("os.id", "debian"), ("hostname", "quiesce-vm"), ("timezone.offset", "0"),
                           ("user.count", "0"), ("fs.count", str(len(MOUNTED)))):
            expect_equal(found.get(key), value, key)

    def case_hostname(self) -> None:
        """`domhostname`."""
        expect_equal(self.virsh("domhostname", "--source", "agent"), "quiesce-vm", "the host name")

    def case_time(self) -> None:
        """`domtime` gets the guest's time, and sets it: as given, to the host's, and from the machine's clock."""
        def difference(text: str) -> float:
            return int(text.removeprefix("Time: ")) - float(self.machine.run("date +%s.%N"))
        expect(abs(difference(self.virsh("domtime"))) < 5, "the time is not the guest's")
        later = int(time.time()) + 86400
        self.virsh("domtime", "--time", str(later))
        expect(abs(difference(f"Time: {later}")) < 20, "the time is not what was set")
        self.virsh("domtime", "--now")
        expect(abs(difference(f"Time: {int(time.time())}")) < 20, "the time is not the host's")
        self.machine.run("date --set '+1 hour'")
        self.virsh("domtime", "--sync")
        expect(abs(difference(f"Time: {int(time.time())}")) < 20, "the time is not that of the machine's clock")

    def case_password(self) -> None:
        """`set-user-password`."""
        self.machine.run("useradd someone")
        self.virsh("set-user-password", "someone", "blue sky")
        self.machine.run("""python3 -W ignore -c 'import crypt, spwd
secret = spwd.getspnam("someone").sp_pwdp
assert crypt.crypt("blue sky", secret) == secret'""")
        self.machine.run("userdel someone")

    def case_exec(self) -> None:
        """guest-exec with input, output and an exit status; files of 2 MB."""
        process = self.ask("guest-exec", path="/bin/sh", arg=["-c", "tr a-z A-Z; exit 7"],
                           **{"input-data": base64.b64encode(b"hello\n").decode(), "capture-output": True})
        while not (status := self.ask("guest-exec-status", pid=process["pid"]))["exited"]:
            pass
        expect_equal((status["exitcode"], base64.b64decode(status["out-data"])), (7, b"HELLO\n"), "what was executed")
        self.machine.run("head -c 2000000 /dev/urandom >/run/large")
        handle = self.ask("guest-file-open", path="/run/large", mode="r")
        read = self.ask("guest-file-read", handle=handle, count=3000000)
        self.ask("guest-file-close", handle=handle)
        data = base64.b64decode(read["buf-b64"])
        expect_equal(len(data), 2000000, "the size of what was read")
        sum = subprocess.run(["sha256sum"], input=data, capture_output=True).stdout.decode()
        expect_equal(sum.split()[0], self.machine.run("sha256sum </run/large").split()[0], "what was read")
        self.machine.run("rm /run/large")

    def case_trim(self) -> None:
        """`domfstrim` gives space back to the host."""
        def allocated() -> int:
            return self.machine.disk("xfs").stat().st_blocks * 512
        self.machine.run("head -c 60M /dev/urandom >/srv/xfs/large; sync /srv/xfs/large")
        before = allocated()
        expect(before > 60e6, f"only {before} bytes are allocated")
        self.machine.run("rm /srv/xfs/large; sync --file-system /srv/xfs")
        self.virsh("domfstrim")
        expect(allocated() < before - 50e6, f"{allocated()} bytes of {before} are still allocated")

    # --- Freezing and thawing ---

    def case_freeze_and_thaw(self) -> None:
        """`domfsfreeze` and `domfsthaw`: hooks are called, and nothing of qemu-ga's is relayed meanwhile."""
        self.machine.put("/etc/quiesced/hooks.d/20-record", RECORDING_HOOK, "755")
        expect_equal(self.virsh("domfsthaw"), "Thawed 0 filesystem(s)", "a thaw of nothing")
        self.freeze()
        self.expect_frozen(FROZEN)
        expect_equal(self.ask("guest-fsfreeze-status"), "frozen", "the status")
        expect_equal(self.machine.run("cat /run/calls"), "freeze qemu", "the calls of the hook in the window")
        for command in ("domfsfreeze", "domfsinfo", "domfstrim"):
            expect("the agent is in frozen state" in self.failure(command), command)
        expect("no hostname found" in self.failure("domhostname", "--source", "agent"), "domhostname in the window")
        expect_equal(self.libvirt.attempt("guestinfo", libvirt.NAME).out, "", "guestinfo in the window")
        for command in ("shutdown", "reboot"):
            expect("the agent is in frozen state" in self.failure(command, "--mode", "agent"), command)
        self.expect_frozen(FROZEN)
        self.thaw()
        self.expect_thawed([*FROZEN, "/srv/vfat"])
        self.wait_until_idle()
        expect_equal(self.machine.run("cat /run/calls"), "freeze qemu\nthaw qemu ok", "the calls of the hook")
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("qemu", "succeeded"), "the record")
        self.machine.run("rm /etc/quiesced/hooks.d/20-record /run/calls")

    def case_freeze_mount_points(self) -> None:
        """`domfsfreeze --mountpoint` freezes those alone; an unknown one is an error with its name."""
        chosen = ["/srv/xfs", "/srv/lvm"]
        expect_equal(self.virsh("domfsfreeze", "--mountpoint", chosen[0], "--mountpoint", chosen[1]),
                     "Froze 2 filesystem(s)", "domfsfreeze")
        self.expect_frozen(chosen)
        self.expect_thawed([each for each in FROZEN if each not in chosen])
        expect_equal(self.virsh("domfsthaw"), "Thawed 2 filesystem(s)", "domfsthaw")
        self.expect_thawed(chosen)
        expect("/srv/none" in self.failure("domfsfreeze", "--mountpoint", "/srv/xfs", "--mountpoint", "/srv/none"),
               "the error")
        self.expect_thawed(FROZEN)
        self.wait_until_idle()

    # --- Snapshots ---

    def start_snapshot(self, name: str) -> subprocess.Popen:
        return self.libvirt.spawn(
            "snapshot-create-as", libvirt.NAME, name, "--disk-only", "--quiesce", "--no-metadata")

    def sources(self) -> list[str]:
        return [source for _, source in self.table("domblklist")]

    def commit_snapshot(self, name: str) -> None:
        """Merges the overlays into the disks, and removes the overlays."""
        for target, _ in self.table("domblklist"):
            self.virsh("blockcommit", target, "--active", "--pivot", "--wait")
        for disk in self.machine.disks:
            self.machine.disk(disk).with_suffix(f".{name}").unlink()

    def expect_snapshot(self, name: str) -> None:
        expect_equal(self.sources(), [f"/run/machine/{disk}.{name}" for disk in self.machine.disks], "the disks")

    def expect_no_snapshot(self, name: str) -> None:
        expect_equal(self.sources(), [f"/run/machine/{disk}.disk" for disk in self.machine.disks], "the disks")
        expect_equal(list(self.machine.directory.glob(f"*.{name}")), [], "overlays")

    def case_snapshot(self) -> None:
        """`snapshot-create-as --quiesce` under writers: consistent, and with every acknowledged record."""
        self.machine.put("/etc/quiesced/hooks.d/20-record", RECORDING_HOOK, "755")
        writers = Writers(self.machine, FROZEN)
        done = self.libvirt.finish(self.start_snapshot("backup"))
        expect_equal(done.status, 0, f"the exit status of virsh: {done.err}")
        self.expect_snapshot("backup")
        self.wait_until_idle()
        writers.wait_for_more()
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("qemu", "succeeded"), "the record")
        expect_equal(self.machine.run("cat /run/calls"), "freeze qemu\nthaw qemu ok", "the calls of the hook")
        acknowledged = self.acknowledged_at_freeze(writers, record)
        writers.stop()
        # The disks below the overlays are not written to any more.
        copies = Copies(self.machine, list(KINDS))
        try:
            check_snapshot(copies, acknowledged)
        finally:
            copies.remove()
        self.commit_snapshot("backup")
        self.expect_no_snapshot("backup")
        self.machine.run("rm /etc/quiesced/hooks.d/20-record /run/calls")
        self.backup()

    def acknowledged_at_freeze(self, writers: Writers, record: dict) -> dict[str, int]:
        """What each writer had acknowledged when the freeze was answered."""
        started = float(self.machine.run(f"date --date {record['started']} +%s.%N"))
        acknowledged = writers.acknowledged_before(started + record["freeze_answer"]["offset_ms"] / 1000)
        expect(min(acknowledged.values()) > 0, f"acknowledged: {acknowledged}")
        self.say(f"window of a snapshot: {record['window']['duration_ms']:.0f} ms; acknowledged: {acknowledged}")
        return acknowledged

    def case_snapshot_with_failing_hook(self) -> None:
        """A freeze that fails: virsh gives the reason, nothing is frozen, and there is no overlay."""
        self.machine.put("/etc/quiesced/hooks.d/20-fail", FAILING_HOOK, "755")
        for command in (["domfsfreeze", libvirt.NAME], None):
            process = self.libvirt.spawn(*command) if command else self.start_snapshot("backup")
            error = self.error(self.libvirt.finish(process))
            expect("20-fail" in error and "the disk is on fire" in error, f"the error: {error}")
            self.expect_thawed(FROZEN)
            self.wait_until_idle()
        self.say(error.splitlines()[-1])
        self.expect_no_snapshot("backup")
        expect_equal(self.virsh("domfsthaw"), "Thawed 0 filesystem(s)", "a thaw after a failed freeze")
        self.machine.run("rm /etc/quiesced/hooks.d/20-fail")
        self.libvirt.virsh("snapshot-create-as", libvirt.NAME, "backup", "--disk-only", "--quiesce", "--no-metadata")
        self.commit_snapshot("backup")
        self.wait_until_idle()

    def case_snapshot_with_lost_window(self) -> None:
        """max_window ends while libvirt's daemon is stopped: the snapshot fails with the reason, its overlays stay."""
        self.configure('[freeze]\nmax_window = "11s"\n')
        self.slow_hook(3)
        process = self.start_snapshot("late")
        self.wait_for_hook()
        with self.libvirt.stopped():
            self.machine.wait_until("quiescectl status --json | tr -d ' \\n' | grep '\"state\":\"frozen\"'")
            self.expect_thawed(FROZEN)
            self.wait_until_idle()
        error = self.error(self.libvirt.finish(process))
        expect("freeze.max_window" in error, f"the error: {error}")
        self.say(error.splitlines()[-1])
        self.expect_snapshot("late")
        self.commit_snapshot("late")
        self.remove_hook()
        expect_equal(self.virsh("domfsthaw"), "Thawed 0 filesystem(s)", "the thaw after that")
        self.configure_as_shipped()
        self.backup()

    # --- Crashes ---

    def case_kill_in_window(self) -> None:
        """SIGKILL of daemon, freezer and both in the window: thawed, the next thaw is an error, later commands work."""
        for blow in ("kill -KILL $(pidof quiesced)", "kill -KILL $(pidof quiesce-freezer)",
                     "set -- $(pidof quiesced quiesce-freezer); kill -STOP $*; kill -KILL $*"):
            self.freeze()
            self.expect_frozen(["/"])
            self.machine.run(blow)
            self.expect_thawed(FROZEN)
            # Commands may come before the next instance serves the port.
            self.expect_lost()
            self.case_guestinfo()

    def case_kill_relayed_in_window(self) -> None:
        """SIGKILL of qemu-ga in the window and during a freeze: the backup is good."""
        self.freeze()
        self.machine.run("kill -KILL $(pidof qemu-ga)")
        self.expect_frozen(FROZEN)
        self.thaw()
        self.wait_until_idle()
        self.case_guestinfo()
        self.slow_hook(3)
        process = self.libvirt.spawn("domfsfreeze", libvirt.NAME)
        self.wait_for_hook()
        self.machine.run("kill -KILL $(pidof qemu-ga)")
        expect_equal(self.libvirt.finish(process).out, FROZE, "domfsfreeze")
        self.thaw()
        self.remove_hook()
        self.wait_until_idle()
        self.case_guestinfo()

    def case_kill_during_freeze(self) -> None:
        """SIGKILL of daemon, freezer and both during a freeze: virsh gets an error, and the next command works."""
        for programs in ("quiesced", "quiesce-freezer", "quiesced quiesce-freezer"):
            self.slow_hook(20)
            process = self.libvirt.spawn("domfsfreeze", libvirt.NAME)
            self.wait_for_hook()
            self.machine.run(f"set -- $(pidof {programs}); kill -STOP $*; kill -KILL $*")
            began = time.monotonic()
            error = self.error(self.libvirt.finish(process))
            self.say(f"{programs}: {time.monotonic() - began:.1f} s: {error.splitlines()[-1]}")
            self.remove_hook()
            self.expect_thawed(FROZEN)
            expect_equal(self.ask("guest-ping"), {}, "the next command")
            self.wait_for_registration()
            self.wait_until_idle()
            # An error after a crash, or 0: never more.
            done = self.libvirt.attempt("domfsthaw", libvirt.NAME)
            expect(done.status == 1 or done.out == "Thawed 0 filesystem(s)", f"domfsthaw: {done.out}")
            self.backup()

    def case_kill_relayed_often(self) -> None:
        """Five SIGKILLs of qemu-ga within ten seconds: its commands work again."""
        began = time.monotonic()
        for _ in range(5):
            # systemd waits five seconds before a restart of its own.
            self.machine.run("systemctl restart quiesce-qemu-ga.service;"
                             " until pid=$(pidof qemu-ga); do sleep 0.1; done; kill -KILL $pid")
        took = time.monotonic() - began
        self.say(f"five SIGKILLs of qemu-ga took {took:.1f} s")
        expect(took < 10, f"five SIGKILLs took {took:.1f} s")
        expect_equal(self.ask("guest-ping"), {}, "a ping at once")
        self.wait_until_answered("domhostname")
        self.backup()

    def wait_until_answered(self, command: str, within: float = 30) -> None:
        deadline = time.monotonic() + within
        while (done := self.libvirt.attempt(command, libvirt.NAME)).status != 0:
            expect(time.monotonic() < deadline, f"{command} fails after {within} s: {done.err}")

    # --- The daemon's restart and upgrade ---

    def case_restart(self) -> None:
        """`systemctl restart` between windows: the next command is answered. In the window: thawed, and lost."""
        for _ in range(3):
            self.machine.run("systemctl restart quiesced")
            expect_equal(self.ask("guest-ping"), {}, "a ping at once")
            self.backup()
        self.freeze()
        self.machine.run("systemctl restart quiesced")
        self.expect_thawed(FROZEN)
        self.expect_lost()

    def case_upgrade(self) -> None:
        """The package is installed again: between windows, in a window without `/`, and in a window with `/`."""
        self.machine.copy_in(self.package, "/run/quiesce.deb")
        self.machine.run("dpkg -i /run/quiesce.deb", timeout=120)
        expect_equal(self.ask("guest-ping"), {}, "a ping at once")
        self.wait_for_registration()
        self.backup()

        expect_equal(self.virsh("domfsfreeze", "--mountpoint", "/srv/xfs"), "Froze 1 filesystem(s)", "domfsfreeze")
        self.machine.run("dpkg -i /run/quiesce.deb", timeout=120)
        self.expect_thawed(FROZEN)
        self.wait_for_registration()
        self.expect_lost()

        self.freeze()
        upgrade = self.machine.start("dpkg -i /run/quiesce.deb", timeout=120)
        self.machine.wait_until("grep -E '^State:.D' /proc/$(pidof dpkg)/status")
        self.thaw()
        expect_equal(upgrade.done(120).status, 0, "the upgrade that waited for the thaw")
        self.wait_for_registration()
        self.backup()
        self.case_guestinfo()
        self.machine.run("rm /run/quiesce.deb")

    # --- The port ---

    def case_unplug(self) -> None:
        """The port is unplugged and plugged in, between windows and in one."""
        self.unplug()
        self.plug()
        self.backup()
        self.freeze()
        self.unplug()
        self.expect_thawed(FROZEN)
        self.plug()
        self.expect_lost()

    def unplug(self) -> None:
        document = ElementTree.fromstring(self.virsh("dumpxml"))
        channel = next(each for each in document.iter("channel")
                       if each.find("target").get("name") == "org.qemu.guest_agent.0")
        (self.machine.directory / "channel.xml").write_bytes(ElementTree.tostring(channel))
        self.virsh("detach-device", self.machine.directory / "channel.xml", "--live")
        self.wait_for_registration(False)
        expect("guest agent is not" in self.failure("domfsfreeze"), "domfsfreeze without a port")

    def plug(self) -> None:
        self.virsh("attach-device", self.machine.directory / "channel.xml", "--live")
        self.wait_for_registration()
        self.wait_until_answered("domhostname")

    # --- A filesystem that hangs ---

    def case_hanging_filesystem(self) -> None:
        """A fuseblk whose server is stopped, with guest-get-fsinfo outstanding: a freeze waits up to the command's
        deadline."""
        self.machine.run(
            "truncate -s 32M /run/ntfs.img; loop=$(losetup --find --show /run/ntfs.img); mkfs.ntfs -Q -q -F $loop;"
            "mkdir -p /srv/ntfs; systemd-run --quiet --unit ntfs ntfs-3g -o no_detach $loop /srv/ntfs")
        self.machine.wait_until("grep '/srv/ntfs fuseblk' /proc/mounts")
        expect("/srv/ntfs" in self.virsh("domfsinfo"), "domfsinfo does not list the filesystem")
        self.machine.run("kill -STOP $(pidof ntfs-3g)")
        began = time.monotonic()
        info = self.libvirt.spawn("domfsinfo", libvirt.NAME)
        self.machine.wait_until("grep request_wait_answer /proc/$(pidof qemu-ga)/wchan")
        expect_equal(self.virsh("domfsfreeze"), FROZE_WITH_NTFS, "domfsfreeze")
        took = time.monotonic() - began
        self.say(f"a freeze behind a hanging guest-get-fsinfo took {took:.1f} s")
        expect(DEADLINE <= took < DEADLINE + SLACK, f"the freeze took {took:.1f} s")
        error = self.error(self.libvirt.finish(info))
        expect(f"did not finish guest-get-fsinfo within {DEADLINE}s" in error, f"domfsinfo: {error}")
        self.expect_frozen(FROZEN)
        self.thaw()
        self.wait_until_idle()
        # qemu-ga still hangs.
        began = time.monotonic()
        expect_equal(self.virsh("domfsfreeze"), FROZE_WITH_NTFS, "domfsfreeze")
        self.thaw()
        took = time.monotonic() - began
        self.say(f"freeze and thaw while qemu-ga hangs took {took:.1f} s")
        expect(took < DEADLINE, f"freeze and thaw took {took:.1f} s")
        self.wait_until_idle()
        expect_equal(self.ask("guest-ping"), {}, "a ping")
        expect("has not finished guest-get-fsinfo" in self.failure("domfstrim"), "domfstrim")
        self.machine.run("kill -CONT $(pidof ntfs-3g)")
        self.wait_until_answered("domhostname")
        self.machine.run(
            "loop=$(losetup --noheadings --output NAME --associated /run/ntfs.img);"
            "umount /srv/ntfs; losetup --detach $loop; rm /run/ntfs.img; rmdir /srv/ntfs")
        self.case_fsinfo()

    # --- KubeVirt ---

    def case_kubevirt(self) -> None:
        """KubeVirt's poller around freezes, two minutes: the agent is supported, and no reply is another command's."""
        windows = []
        began = time.monotonic()
        with Poller(self.ask) as poller:
            poller.wait_for_replies()
            while time.monotonic() < began + 120:
                froze = time.monotonic()
                expect(self.freeze_as_kubevirt(), "the status was frozen before the freeze")
                expect(not self.freeze_as_kubevirt(), "the status was not frozen after the freeze")
                frozen = time.monotonic()
                # Longer than the status is polled.
                time.sleep(6)
                thawing = time.monotonic()
                expect(self.thaw_as_kubevirt(), "the status was thawed before the thaw")
                expect(not self.thaw_as_kubevirt(), "the status was not thawed after the thaw")
                windows.append((froze, frozen, thawing, time.monotonic()))
                self.wait_until_idle()
                time.sleep(6)
        expect_equal(poller.strange_replies(), [], "replies of other commands")
        for asked, answered, text in poller.errors:
            expect("the agent is in frozen state" in text
                   and any(froze < answered and asked < thawed for froze, _, _, thawed in windows),
                   f"an error outside the windows: {text}")
        statuses = poller.replies["guest-fsfreeze-status"]
        inside = [status for asked, answered, status in statuses
                  if any(frozen < asked and answered < thawing for _, frozen, thawing, _ in windows)]
        outside = [status for asked, answered, status in statuses
                   if not any(froze < answered and asked < thawed for froze, _, _, thawed in windows)]
        expect_equal((set(inside), set(outside)), ({"frozen"}, {"thawed"}), "the status in and outside the windows")
        counts = {name: len(replies) for name, replies in poller.replies.items()}
        expect(min(counts.values()) > 0, f"polled: {counts}")
        enabled = {each["name"] for each in poller.replies["guest-info"][0][2]["supported_commands"] if each["enabled"]}
        expect_equal([name for name in REQUIRED if name not in enabled], [], "commands that are missing")
        self.say(f"{len(windows)} windows, {sum(counts.values())} replies, {len(poller.errors)} refused in a window,"
                 f" {len(inside)} statuses of frozen")

    def freeze_as_kubevirt(self) -> bool:
        """Whether the freeze had to be sent."""
        if self.ask("guest-fsfreeze-status") == "frozen":
            return False
        self.freeze()
        return True

    def thaw_as_kubevirt(self) -> bool:
        """Whether the thaw had to be sent."""
        if self.ask("guest-fsfreeze-status") == "thawed":
            return False
        self.thaw()
        return True

    # --- The machine's end ---

    def case_reboot(self) -> None:
        """`reboot --mode agent`: clean, and the agent is served again."""
        self.virsh("reboot", "--mode", "agent")
        self.machine.wait_for_reboot()
        self.expect_served_after_boot()

    def case_shutdown(self) -> None:
        """`shutdown --mode agent`: the machine powers off, with clean disks, and is served at its next start."""
        self.virsh("shutdown", "--mode", "agent")
        self.machine.wait_for_power_off()
        expect("needs_recovery" not in output("dumpe2fs", "-h", self.machine.disk("system")), "/ needs recovery")
        output("e2fsck", "-fn", self.machine.disk("system"))
        self.machine.boot()
        self.expect_served_after_boot()

    def expect_served_after_boot(self) -> None:
        self.wait_for_registration()
        log = self.machine.run("dmesg")
        expect("recovery complete" not in log and "orphan cleanup" not in log, "the root filesystem was recovered")
        self.wait_until_answered("domhostname")
        self.machine.run(MOUNT)
        self.case_guestinfo()
        self.backup()
