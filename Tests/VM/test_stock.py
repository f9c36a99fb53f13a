"""The package in place of the stock daemon."""
from __future__ import annotations

import vss_host
from case import FROZEN, STOCK_UNIT, Group, expect, expect_equal
from vss_host import FREEZE, GET_DM_INFO, HOT_BACKUP, THAW


class Stock(Group):
    """The stock daemon first: what it does is the measure."""

    is_installed = False

    def set_up(self) -> None:
        self.make_filesystems()
        # Of the driver or of nobody, with neither daemon.
        self.load_driver()
        self.machine.run(f"systemctl stop {STOCK_UNIT}")
        self.answers: dict[str, bytes] = {}

    def ask(self, operation: int, transaction: int = 9) -> bytes:
        self.machine.send_packet(vss_host.request(operation, transaction))
        return self.machine.host_packet()

    def all_answers(self, start: str, stop: str) -> dict[str, bytes]:
        """The bytes that the host gets, by what it asks and what comes of it."""
        answers = {}
        self.machine.run(stop)
        self.machine.wait_until("! fuser -s /dev/vmbus/hv_vss")
        for name, operation in [("HOT_BACKUP", HOT_BACKUP), ("FREEZE", FREEZE), ("THAW", THAW)]:
            answers[f"{name}, nobody there"] = self.ask(operation)
        self.machine.run(start)
        self.machine.wait_until("fuser -s /dev/vmbus/hv_vss")
        # Until the registration is through, the driver answers for it.
        while not vss_host.parse(self.ask(HOT_BACKUP)).is_success:
            pass
        self.machine.send_packet(vss_host.negotiation(9))
        answers["negotiation"] = self.machine.host_packet()
        answers["HOT_BACKUP"] = self.ask(HOT_BACKUP)
        answers["GET_DM_INFO"] = self.ask(GET_DM_INFO)
        answers["an operation that nobody knows"] = self.ask(77)
        answers["FREEZE"] = self.ask(FREEZE)
        self.expect_frozen(["/", "/srv/xfs", "/srv/btrfs", "/srv/lvm"])
        answers["HOT_BACKUP done, THAW"] = self.ask(THAW)
        self.expect_thawed(FROZEN)
        # A disk that fails: the kernel's FIFREEZE does.
        self.machine.run(
            "disk=$(readlink -f /dev/disk/by-id/virtio-spare); size=$(blockdev --getsz $disk);"
            "dmsetup create failing --table \"0 $size linear $disk 0\"; mkfs.ext4 -q -F /dev/mapper/failing;"
            "mkdir -p /srv/failing; mount -o data=journal /dev/mapper/failing /srv/failing; sync;"
            "dd if=/dev/zero of=/srv/failing/dirty bs=1M count=8 status=none;"
            "dmsetup suspend --noflush --nolockfs failing; dmsetup load failing --table \"0 $size error\";"
            "dmsetup resume failing")
        answers["FREEZE, a disk fails"] = self.ask(FREEZE)
        answers["THAW after that"] = self.ask(THAW)
        self.machine.run("umount /srv/failing; dmsetup remove failing; dmsetup mknodes", check=False)
        self.expect_thawed(FROZEN)
        return answers

    def case_stock_daemon(self) -> None:
        """The stock daemon freezes this machine's root through the distribution's driver."""
        self.answers = self.all_answers(f"systemctl start {STOCK_UNIT}", f"systemctl stop {STOCK_UNIT}")
        for name, packet in self.answers.items():
            self.say(f"{name}: {vss_host.parse(packet).status:#x}")

    def case_install(self) -> None:
        """The stock daemon makes room, and quiesced answers."""
        self.machine.run(f"systemctl start {STOCK_UNIT}")
        self.install()
        expect_equal(self.property("LoadState", STOCK_UNIT), "masked", STOCK_UNIT)
        expect_equal(self.property("ActiveState", STOCK_UNIT), "inactive", STOCK_UNIT)
        expect_equal(
            self.machine.run("cat /var/lib/quiesced/masked-units"), f"{STOCK_UNIT} running", "what is on record")
        wanted = {
            "ActiveState": "active", "UnitFileState": "enabled", "Type": "notify", "NotifyAccess": "main",
            "WatchdogUSec": "30s", "OOMPolicy": "continue", "OOMScoreAdjust": "-1000", "KillMode": "process",
            "TimeoutStopUSec": "40s", "TimeoutAbortUSec": "2s", "TasksMax": "infinity",
            "RuntimeDirectoryPreserve": "yes", "Restart": "always", "RestartPreventExitStatus": "2",
        }
        for name, value in wanted.items():
            expect_equal(self.property(name), value, name)
        expect(self.property("StatusText").startswith("Waiting for a request."), self.property("StatusText"))
        expect("network" not in self.property("After"), "it is ordered after the network")
        self.backup()
        expect(" succeeded, level crash." in self.property("StatusText"), self.property("StatusText"))

    def case_answers(self) -> None:
        """The host gets the bytes that the stock daemon gives, for whatever both do."""
        expect(bool(self.answers), "the stock daemon's answers are not known: run case stock_daemon, too")
        answers = self.all_answers("systemctl start quiesced", "systemctl stop quiesced")
        self.wait_for_registration()
        for name, wanted in self.answers.items():
            expect_equal(answers[name].hex(), wanted.hex(), name)

    def case_hooks_see_an_ordinary_world(self) -> None:
        """A hook finds what root's cron jobs find, and not the unit's limits or its place."""
        self.machine.put(
            "/etc/quiesced/hooks.d/10-look",
            "#!/bin/sh\n[ $1 = freeze ] || exit 0\nsleep 0.2\n"
            "{ cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -l; readlink /proc/self/ns/mnt /proc/self/ns/net;\n"
            "grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/self/status; env | grep -c -E 'NOTIFY|WATCHDOG' || true; } "
            ">/run/looked\n", "755")
        try:
            self.backup()
        finally:
            self.machine.run("rm /etc/quiesced/hooks.d/10-look")
        seen = self.machine.run("cat /run/looked").split("\n")
        mine = self.machine.run(
            "echo 0; ulimit -Sn; ulimit -l; readlink /proc/1/ns/mnt /proc/1/ns/net;"
            "grep -E '^(CapEff|Seccomp|NoNewPrivs):' /proc/1/status; echo 0").split("\n")
        expect_equal(seen, mine, "what the hook saw")

    def case_freezer_is_shut_in(self) -> None:
        """The freezer has one capability and a filter; its daemon is root as any other."""
        status = self.machine.run("grep -E '^(Cap|Seccomp:|NoNew)' /proc/$(pidof quiesce-freezer)/status")
        values = dict(line.split(":\t") for line in status.split("\n"))
        sys_admin = f"{1 << 21:016x}"
        expect_equal(
            values, {
                "CapInh": "0" * 16, "CapPrm": sys_admin, "CapEff": sys_admin, "CapBnd": "0" * 16,
                "CapAmb": "0" * 16, "NoNewPrivs": "1", "Seccomp": "2"}, "the freezer")

    def case_upgrade(self) -> None:
        """An upgrade that comes in the window waits for its end, and does no harm to the backup; then quiesced is
        started again with the new files, and the next backup is good."""
        self.machine.copy_in(self.package, "/run/quiesce.deb")
        before = self.property("MainPID")
        self.freeze()
        upgrade = self.machine.start("dpkg -i /run/quiesce.deb", timeout=120)
        # It writes to what is frozen.
        self.machine.wait_until("grep -q '^State:.D' /proc/$(pidof dpkg)/status")
        self.thaw()
        expect_equal(upgrade.done(130).status, 0, "the upgrade")
        self.machine.run("rm /run/quiesce.deb")
        self.wait_for_registration()
        expect(self.property("MainPID") != before, "it was not started again")
        self.backup()

    def case_remove_and_purge(self) -> None:
        """The stock daemon is back as before; nothing of ours is left."""
        self.machine.run("dpkg --remove quiesce")
        self.machine.wait_until(f"systemctl is-active {STOCK_UNIT}")
        self.machine.run("[ ! -e /usr/sbin/quiesced ] && [ -e /etc/quiesced/quiesced.toml ]")
        self.machine.wait_until("fuser -s /dev/vmbus/hv_vss")
        while not vss_host.parse(self.ask(HOT_BACKUP)).is_success:
            pass
        self.machine.run("dpkg --purge quiesce")
        left = self.machine.run(
            "find / -xdev -not -path '/proc/*' \\( -name '*quiesce*' -o -lname '*quiesce*' \\) "
            "-not -path '/var/log/*' -not -path '/sys/*'; ls -d /run/quiesced 2>/dev/null", check=False)
        expect_equal(left, "", "what is left")
        expect_equal(self.property("LoadState"), "not-found", "the unit")
        expect_equal(self.machine.run("systemctl --failed --no-legend --plain"), "", "units that failed")
