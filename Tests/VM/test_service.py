"""Backups of a machine in service, and what may happen to the service meanwhile."""
from __future__ import annotations

import json
import time

import vss_host
from case import FROZEN, STOCK_UNIT, Group, expect, expect_equal
from vss_host import FREEZE, HOT_BACKUP, THAW
from writers import Writers

# Short, so that a window that nobody ends does not hold up the test.
SHORT_WINDOW = '[freeze]\ntimeout = "4s"\nmax_window = "6s"\n'


class Service(Group):
    """quiesced as it is installed, on a machine with a filesystem of each kind."""

    def set_up(self) -> None:
        self.make_filesystems()
        self.load_driver()
        self.wait_for_registration()

    # --- a) Backups ---

    def case_plan(self) -> None:
        """Each kind of filesystem is planned as it should be, the loop before what holds it."""
        plan = json.loads(self.machine.run("quiescectl plan --json"))
        # Either mount of the btrfs may be the one that it is reached through.
        actions = {"/srv/btrfs" if each["type"] == "btrfs" else each["mount_point"]: each["action"]
                   for each in plan["filesystems"] if each["action"] != "skip"}
        expect_equal(actions, {**dict.fromkeys(FROZEN, "freeze"), "/srv/vfat": "sync"}, "what is planned")
        order = {each["mount_point"]: each["order"] for each in plan["filesystems"]}
        expect(order["/srv/loop"] < order["/"], f"the loop's filesystem is not before what holds it: {order}")
        both = next(each for each in plan["filesystems"] if each["type"] == "btrfs")
        expect_equal(
            sorted([both["mount_point"], *both["other_mount_points"]]), ["/srv/btrfs", "/srv/subvolume"], "btrfs")

    def case_backup(self) -> None:
        """HOT_BACKUP, FREEZE, THAW over the driver: everything stands still, and goes on; the log loses nothing."""
        cursor = self.journal_cursor()
        writers = Writers(self.machine, [*FROZEN, "/var/tmp"])
        self.machine.expect(HOT_BACKUP, True)
        # A shell that somebody works in.
        shell = self.machine.start(
            "i=0; until [ -e /run/enough ]; do i=$((i + 1)); echo $i >>/var/tmp/session; echo $i >/run/session;"
            " sleep 0.05; done",
            timeout=120)
        self.machine.wait_until("[ -s /run/session ]")
        self.freeze()
        self.expect_frozen(FROZEN)
        before = writers.acknowledged(), self.machine.run("cat /run/session")
        # The journal cannot be written now; who logs must not lose anything.
        logger = self.machine.start("for i in $(seq 500); do echo \"entry $i\"; done | systemd-cat -t vm-numbers")
        self.machine.run("sleep 1")
        expect_equal((writers.acknowledged(), self.machine.run("cat /run/session")), before, "who wrote in the window")
        self.thaw()
        self.expect_thawed([*FROZEN, "/srv/vfat"])
        writers.wait_for_more()
        self.machine.wait_until(f"[ $(cat /run/session) -gt {before[1]} ]")
        self.machine.run("touch /run/enough")
        expect_equal(shell.done().status, 0, "the shell")
        expect_equal(
            self.machine.run("cat /var/tmp/session"),
            "\n".join(map(str, range(1, int(self.machine.run("cat /run/session")) + 1))), "what the shell wrote")
        expect_equal(logger.done().status, 0, "who logged")
        entries = self.machine.run("journalctl --sync; journalctl -t vm-numbers -o cat --no-pager")
        expect_equal(entries.split("\n"), [f"entry {number}" for number in range(1, 501)], "the journal")
        stalls = writers.longest_stalls()
        self.say("longest stalls of writers, held 1 s and more: "
              + ", ".join(f"{directory} {stall:.2f} s" for directory, stall in stalls.items()))
        writers.stop()
        self.machine.run("rm /run/enough /run/session /var/tmp/session")
        line = self.wait_for_journal(cursor, "request .* of hyperv succeeded: 5 filesystems frozen")
        expect("level crash (could only be flushed: /srv/vfat)" in line, line)

    def case_without_vfat(self) -> None:
        """With nothing that can only be flushed the level is `filesystem`."""
        self.machine.run("umount /srv/vfat")
        self.backup()
        expect_equal(self.last_record()["level"], "filesystem", "the level")
        self.machine.run("mount /dev/disk/by-id/virtio-vfat /srv/vfat")

    def case_systemd_units(self) -> None:
        """The hook that comes with quiesce stops the listed units over the window; those that do not run stay so."""
        unit = "[Service]\nExecStart=/usr/bin/sleep infinity\n"
        for name in ("runs", "rests"):
            self.machine.put(f"/run/systemd/system/vm-{name}.service", unit)
        self.machine.run("systemctl daemon-reload && systemctl start vm-runs && quiescectl hooks enable systemd-units")
        self.machine.put(
            "/etc/quiesced/hooks.conf.d/systemd-units", 'UNITS="vm-rests.service vm-runs.service"\n')
        self.freeze()
        self.expect_frozen(["/"])
        for name in ("runs", "rests"):
            expect_equal(self.property("ActiveState", f"vm-{name}.service"), "inactive", f"vm-{name} in the window")
        self.thaw()
        self.wait_until_idle()
        expect_equal(self.property("ActiveState", "vm-runs.service"), "active", "vm-runs afterwards")
        expect_equal(self.property("ActiveState", "vm-rests.service"), "inactive", "vm-rests afterwards")
        output = " ".join(call.get("output", "") for call in self.last_record()["hooks"])
        for words in ("vm-runs.service: stopped", "not running", "vm-runs.service: started"):
            expect(words in output, f"the hook says {output}")
        self.machine.run("quiescectl hooks disable systemd-units && systemctl stop vm-runs")

    def case_sleep_inside_a_write(self) -> None:
        """A process asleep in a write is refused by name. SysRq-j does not thaw the waiting freeze; kill does."""
        self.machine.put("/run/sleeper.py", "import os\nends = os.pipe()\n"
                         "file = os.open('/srv/xfs/held', os.O_WRONLY | os.O_CREAT)\nos.splice(ends[0], file, 4096)\n")
        self.machine.start("python3 /run/sleeper.py", timeout=120)
        self.machine.wait_until("grep pipe_wait /proc/$(pgrep -f ^python3./run/sleeper.py)/wchan")
        process = self.machine.run("pgrep -f ^python3./run/sleeper.py")
        self.freeze(False)
        self.wait_until_idle()
        reason = self.last_record()["reason"]
        expect(f"would hang: process {process} (python3)" in reason and f"`kill {process}`" in reason, reason)
        expect_equal(self.status()["stuck"], [], "what is stuck")

        freeze = self.machine.start("fsfreeze --freeze /srv/xfs", timeout=120)
        self.machine.wait_until("grep -E 'freeze_super|percpu' /proc/$(pgrep -x fsfreeze)/wchan")
        self.machine.run("echo j >/proc/sysrq-trigger; until dmesg | grep 'Emergency Thaw complete'; do sleep 0.1; done")
        self.machine.run("sleep 1; pgrep -x fsfreeze")
        self.machine.run(f"kill {process}")
        expect_equal(freeze.done().status, 0, "the freeze, when the sleeper has ended")
        self.machine.run("fsfreeze --unfreeze /srv/xfs; rm /srv/xfs/held /run/sleeper.py")
        self.thaw()
        self.backup()

    # --- c) What becomes of the service in the window ---

    def lose_window(self, blow: str, comes_back: bool = True, same_daemon: bool = False) -> None:
        """Something happens in the window: thawed, the host is told, and the next backup is good."""
        process = self.property("MainPID")
        self.freeze()
        self.expect_frozen(["/", "/srv/lvm"])
        self.machine.run(blow, timeout=90)
        self.expect_thawed(FROZEN)
        if not comes_back:
            self.machine.wait_until("systemctl is-failed quiesced || ! systemctl is-active quiesced")
            expect_equal(self.machine.perform(THAW).status, vss_host.E_FAIL, "THAW with nobody there")
            self.machine.run("systemctl start quiesced")
        self.wait_for_registration()
        expect_equal(self.property("MainPID") == process, same_daemon, "whether it is the same daemon")
        if comes_back:
            self.thaw(success=False)
        self.backup()

    def case_kill_daemon(self) -> None:
        """SIGKILL of the daemon in the window."""
        self.lose_window("kill -KILL $(pidof quiesced)")

    def case_kill_freezer(self) -> None:
        """SIGKILL of the freezer in the window."""
        self.lose_window("kill -KILL $(pidof quiesce-freezer)", same_daemon=True)

    def case_kill_both(self) -> None:
        """SIGKILL of both at once: systemd runs `quiescectl recover`, which thaws."""
        cursor = self.journal_cursor()
        # Stopped first, neither of the two can thaw after the end of the other.
        self.lose_window("set -- $(pidof quiesced quiesce-freezer); kill -STOP $*; kill -KILL $*")
        self.wait_for_journal(cursor, "was cut short")
        self.wait_for_journal(cursor, "  /: thawed")

    def case_systemctl_stop(self) -> None:
        """`systemctl stop` in the window."""
        self.lose_window("systemctl stop quiesced", comes_back=False)

    def case_systemctl_restart(self) -> None:
        """`systemctl restart` in the window."""
        self.lose_window("systemctl restart quiesced")

    def case_systemctl_kill(self) -> None:
        """`systemctl kill`, which signals every process of the unit."""
        self.lose_window("systemctl kill quiesced")

    def case_segmentation_fault(self) -> None:
        """SIGSEGV of both: both crash, and leave no core dump that holds anything up."""
        # Both at once: a signal that ends a FITHAW of btrfs makes the kernel force the filesystem read-only
        # (btrfs_unfreeze reads the superblock, and fails with EINTR).
        self.lose_window(
            "set -- $(pidof quiesced quiesce-freezer); kill -STOP $*; kill -SEGV $*; kill -CONT $*")

    def case_watchdog(self) -> None:
        """A daemon that stands still is killed by the watchdog, and the freezer thaws."""
        cursor = self.journal_cursor()
        began = time.monotonic()
        self.lose_window("kill -STOP $(pidof quiesced); until [ -z \"$(pidof quiesced)\" ] ||"
                         " ! grep -q 'State:.T' /proc/$(pidof quiesced)/status; do sleep 0.2; done")
        expect(time.monotonic() - began < 80, "it took longer than the watchdog waits")
        self.wait_for_journal(cursor, "Watchdog timeout")

    # --- d) The driver ---

    def case_driver_unloaded(self) -> None:
        """The driver goes, between backups and in the window, and comes back: thawed, and registered again."""
        self.machine.run("/usr/local/lib/vm/driver unload", timeout=30)
        self.machine.wait_until("! [ -e /dev/vmbus/hv_vss ]")
        expect_equal(self.property("ActiveState"), "active", "the service without a device")
        self.load_driver()
        self.wait_for_registration()
        self.backup()
        self.freeze()
        self.machine.run("/usr/local/lib/vm/driver unload", timeout=30)
        self.expect_thawed(FROZEN)
        self.load_driver()
        self.wait_for_registration()
        self.thaw(success=False)
        self.backup()

    def case_suspend(self) -> None:
        """The machine is suspended in the window: the driver's THAW is no host's; thawed, and registered again."""
        cursor = self.journal_cursor()
        self.freeze()
        # It waits until the daemon has let go of the device, or has answered.
        self.machine.run("echo 1 >/sys/module/hv_vmbus/parameters/suspended", timeout=30)
        self.machine.run("echo 0 >/sys/module/hv_vmbus/parameters/suspended", timeout=30)
        self.expect_thawed(FROZEN)
        self.wait_for_registration()
        self.thaw(success=False)
        self.backup()
        self.say(self.wait_for_journal(cursor, "hv_vss: .*").strip())

    def case_too_late(self) -> None:
        """A FREEZE that is answered when the driver has given up: the write fails, everything is thawed.

        The driver waits 900 s; here it is one that waits 10 s, the same but for that number.
        """
        self.machine.run("/usr/local/lib/vm/driver unload")
        self.machine.run("python3 -B /usr/local/lib/vm/hasten /run/hv_utils.ko")
        self.load_driver("/run/hv_utils.ko")
        self.wait_for_registration()
        self.machine.put("/etc/quiesced/hooks.d/10-slow", "#!/bin/sh\n[ $1 = thaw ] || sleep 13\n", "755")
        cursor = self.journal_cursor()
        answer = self.machine.perform(FREEZE)
        expect_equal(answer.status, vss_host.E_FAIL, "what the driver says for a daemon that is late")
        line = self.wait_for_journal(cursor, "(Invalid argument|failed: )")
        self.say(f"{line.strip()}")
        self.machine.run("rm /etc/quiesced/hooks.d/10-slow")
        self.expect_thawed(FROZEN)
        self.wait_for_registration()
        self.machine.run("/usr/local/lib/vm/driver unload")
        self.load_driver()
        self.wait_for_registration()
        self.backup()

    # --- e) The host ---

    def case_host_never_thaws(self) -> None:
        """max_window holds with the root filesystem frozen, and the journal goes on afterwards."""
        self.configure(SHORT_WINDOW)
        cursor = self.journal_cursor()
        began = time.monotonic()
        self.freeze()
        self.expect_frozen(["/"])
        self.expect_thawed(FROZEN, within=30)
        took = time.monotonic() - began
        expect(took < 20, f"thawed only after {took:.1f} s")
        self.wait_for_journal(cursor, "THAW did not come within freeze.max_window")
        self.machine.run("echo alive | systemd-cat -t vm-alive; journalctl --sync; journalctl -t vm-alive | grep alive")
        expect_equal(self.property("ActiveState", "systemd-journald.service"), "active", "the journal")
        expect_equal(self.status()["lost"][0]["channel"], "hyperv", "who has lost his window")
        self.thaw(success=False)
        self.configure_as_shipped()
        self.backup()

    # --- What others do ---

    def case_stock_daemon_is_kept_out(self) -> None:
        """The device comes while udev wants the stock daemon: it is masked, and quiesced has the device."""
        self.machine.run("/usr/local/lib/vm/driver unload")
        self.load_driver()
        self.wait_for_registration()
        expect_equal(self.property("ActiveState", STOCK_UNIT), "inactive", STOCK_UNIT)

    def services(self) -> dict[str, dict]:
        done = self.machine.start("quiescectl services --json").done()
        services = {each["id"]: each for each in json.loads(done.out)["services"]}
        needs_attention = any(each["state"] == "broken" or each["state"] == "idle" and each["offered"]
                              for each in services.values())
        expect_equal(done.status, int(needs_attention), f"the status, for {services}")
        return services

    def expect_service(self, name: str, **expected: object) -> dict:
        service = self.services()[name]
        expect_equal({key: service[key] for key in expected}, expected, name)
        return service

    def case_services(self) -> None:
        """Each integration service is shown with its driver and its program; a service without either is told apart."""
        for name in ("heartbeat", "shutdown", "time_synchronization"):
            self.expect_service(name, state="working", offered=True, driver="hv_utils", channel_state=3, process=None)
        vss = self.expect_service("vss", state="working", device="/dev/vmbus/hv_vss", next_step=None)
        expect_equal((vss["process"]["command"], vss["process"]["unit"]), ("quiesced", "quiesced.service"), "VSS")
        self.expect_service("guest_service_interface", state="off", offered=False)
        self.expect_service("powershell_direct", state="unsupported")

        self.machine.run("systemctl start hv-kvp-daemon")
        self.machine.wait_until("fuser -s /dev/vmbus/hv_kvp")
        kvp = self.expect_service("key_value_pair_exchange", state="working", device="/dev/vmbus/hv_kvp")
        expect_equal(kvp["process"]["unit"], "hv-kvp-daemon.service", "the unit of the KVP daemon")
        self.machine.run("systemctl stop hv-kvp-daemon")
        kvp = self.expect_service("key_value_pair_exchange", state="idle", process=None)
        expect("`systemctl enable --now hv-kvp-daemon.service`" in kvp["next_step"], kvp["next_step"])
        self.machine.run("systemctl start hv-kvp-daemon")

        self.machine.rescind("heartbeat")
        off = self.expect_service("heartbeat", state="off", offered=False, driver=None)
        expect("Enable-VMIntegrationService -VMName NAME -Name 'Heartbeat'" in off["next_step"], off["next_step"])
        self.machine.offer("heartbeat")
        self.machine.wait_until("quiescectl services | grep -E '^Heartbeat +working'")

    def case_service_is_switched_off(self) -> None:
        """`check` tells a service that the host has switched off from a driver that is not there."""
        def finding() -> str:
            report = json.loads(self.machine.start("quiescectl check --json").done().out)
            return next(each["statement"] for each in report["findings"] if each["check"] == "device")
        self.machine.rescind("vss")
        expect_equal(
            finding(), "The host has switched off the integration service VSS, so the host cannot request a backup.",
            "the finding without the service")
        # The driver cannot be unloaded while a program has a device open. With the offer, udev would load the driver.
        self.machine.run("systemctl stop hv-kvp-daemon && rmmod hv_utils && udevadm control --stop-exec-queue")
        self.machine.offer("vss")
        expect_equal(
            finding(), "The driver hv_utils is not loaded, so the host cannot request a backup.",
            "the finding without the driver")
        self.machine.run("udevadm control --start-exec-queue")
        self.wait_for_registration()
        expect("is open in quiesced" in finding(), finding())

    def case_frozen_by_another(self) -> None:
        """A filesystem that another program froze fails the FREEZE, and stays frozen (P5), also after a restart."""
        self.machine.run("fsfreeze --freeze /srv/xfs")
        self.freeze(False)
        self.expect_thawed([each for each in FROZEN if each != "/srv/xfs"])
        self.wait_until_idle()
        reason = self.last_record()["reason"]
        expect("/srv/xfs" in reason, f"the reason is {reason}")
        self.expect_frozen(["/srv/xfs"])
        self.thaw()
        self.expect_frozen(["/srv/xfs"])
        self.restart()
        self.expect_frozen(["/srv/xfs"])
        self.machine.run("fsfreeze --unfreeze /srv/xfs")
        self.expect_thawed(FROZEN)
        self.backup()

    def case_nested_freeze(self) -> None:
        """Device-mapper freezes a filesystem in the window, which Linux 6.8 and later nest: its freeze is left alone."""
        self.freeze()
        is_nested = self.machine.start("dmsetup suspend group-data").done().status == 0
        self.say("device-mapper's freeze in the window is " + ("nested" if is_nested else "refused"))
        self.thaw()
        self.wait_until_idle()
        expect_equal(self.last_record()["result"], "succeeded", "the result")
        if is_nested:
            self.expect_frozen(["/srv/lvm"])
            self.expect_thawed([each for each in FROZEN if each != "/srv/lvm"])
            self.machine.run("dmsetup resume group-data")
        self.expect_thawed(FROZEN)
        self.backup()

    def case_device_is_busy(self) -> None:
        """Somebody else has the device: said by name, and taken over as soon as he lets go."""
        self.machine.run("systemctl stop quiesced")
        cursor = self.journal_cursor()
        self.machine.run("systemd-run --quiet --unit holder hv_vss_daemon -n; systemctl start quiesced")
        self.wait_for_journal(cursor, "hv_vss_daemon .* has the device open")
        expect_equal(self.property("ActiveState"), "active", "quiesced")
        self.machine.run("systemctl stop holder")
        self.wait_for_registration()
        self.backup()
