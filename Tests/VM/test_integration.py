"""The integration services beside VSS, and VSS itself switched off and on, in the window."""
from __future__ import annotations

import hashlib
import os
import time

import services_host
import vss_host
from case import FROZEN, STOCK_UNIT, Group, expect, expect_equal
from copies import output
from services_host import FCOPY_FRAGMENT_SIZE, NO_MORE_ITEMS

DEVICES = "/sys/bus/vmbus/devices"
CLASSES = {
    "heartbeat": "57164f39-9115-4e78-ab55-382f3bd5422d",
    "shutdown": "0e0b6031-5213-4934-818b-38d90ced39db",
    "timesync": "9527e630-d0ae-497b-adce-e80ab0175caf",
    "kvp": "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6",
    "vss": "35fa2e29-ea23-4236-96ae-3a6ebacba440",
}
FCOPY_ALIAS = "vmbus:e34bd134e4dec8419ae76b174977c192"


class Integration(Group):
    """Every service that hv_utils has, offered at once."""

    def set_up(self) -> None:
        self.make_filesystems()
        self.load_driver()
        self.wait_for_registration()

    def ask(self, service: str, packet: bytes, timeout: float = 60) -> vss_host.Answer:
        self.machine.send_packet(packet, service)
        return vss_host.parse(self.machine.host_packet(timeout, service))

    def ask_until_registered(self, service: str, packet: bytes) -> None:
        """Until the service's daemon does what is asked: before its registration the driver answers for it."""
        deadline = time.monotonic() + 60
        while (answer := self.ask(service, packet)).status != vss_host.S_OK:
            expect(time.monotonic() < deadline, f"{service} is answered with {answer.status:#x}")

    def expect_state(self, state: str) -> None:
        expect_equal(self.status()["state"], state, "the state")

    def wait_until_blocked(self, program: str) -> None:
        """Until a thread of the program sleeps in a write to a frozen filesystem."""
        self.machine.wait_until(f"grep -q '^State:.D' /proc/$(pidof {program})/status")

    def case_services_on_the_bus(self) -> None:
        """hv_utils binds by itself to each service, and udev starts the stock daemons but the one of VSS."""
        for name, guid in CLASSES.items():
            found = self.machine.run(
                f"cd $(dirname $(grep -l '{{{guid}}}' {DEVICES}/*/class_id));"
                " cat device_id state modalias; basename $(readlink driver)")
            device_id, state, modalias, driver = found.split("\n")
            expect_equal((state, driver), ("3", "hv_utils"), f"state and driver of {name}")
            expect(modalias.startswith("vmbus:"), modalias)
            expect_equal(device_id, "{" + self.machine.run(
                f"basename $(dirname $(grep -l '{{{guid}}}' {DEVICES}/*/class_id))") + "}", f"instance of {name}")
        self.machine.wait_until("systemctl is-active hv-kvp-daemon.service")
        expect_equal(self.property("ActiveState", STOCK_UNIT), "inactive", STOCK_UNIT)
        self.backup()

    def case_vss_rescinded(self) -> None:
        """The host switches Backup off in the window, and on again: thawed, and registered again."""
        process = self.property("MainPID")
        self.freeze()
        self.expect_frozen(["/", "/srv/lvm"])
        began = time.monotonic()
        # Less than the watchdog of a daemon that keeps the device open.
        self.machine.rescind("vss", timeout=20)
        self.expect_thawed(FROZEN)
        self.say(f"thawed {time.monotonic() - began:.2f} s after the rescind, with a write to each filesystem")
        expect_equal(self.machine.run(f"grep -l '{CLASSES['vss']}' {DEVICES}/*/class_id || true"), "", "the device")
        self.machine.offer("vss")
        self.wait_for_registration()
        expect_equal(self.property("MainPID"), process, "the process")
        self.thaw(success=False)
        self.backup()

    def case_heartbeats(self) -> None:
        """Heartbeats are answered while / is frozen, so the host does not take the guest for hung."""
        self.freeze()
        self.expect_frozen(["/"])
        for number in range(10, 20):
            answer = self.ask("heartbeat", services_host.heartbeat(number))
            expect_equal(answer.status, vss_host.S_OK, "a heartbeat")
            expect_equal(services_host.HEARTBEAT.unpack_from(answer.body)[0], number + 1, "the answered number")
        self.expect_frozen(["/"])
        self.thaw()
        self.backup()

    def case_time_jumps(self) -> None:
        """The clock jumps by an hour in both directions in the window: the countdown goes on, and THAW succeeds."""
        for offset in (3600, -3600):
            self.freeze()
            self.expect_frozen(["/"])
            left = self.status()["request"]["window_left_ms"]
            began = time.monotonic()
            expect_equal(self.ask("timesync", services_host.set_time_by(offset)).status, vss_host.S_OK, "the time")
            wanted = int(time.time() + offset)
            self.machine.wait_until(f"late=$(($(date +%s) - {wanted})); [ $late -gt -30 ] && [ $late -lt 90 ]")
            self.expect_state("frozen")
            # Both jumps would be past the end of any window.
            self.machine.run("sleep 1")
            passed = left - self.status()["request"]["window_left_ms"]
            took = (time.monotonic() - began) * 1000
            expect(900 < passed < took + 1000, f"the countdown went on by {passed:.0f} ms in {took:.0f} ms")
            self.expect_frozen(["/"])
            self.thaw()
            self.wait_until_idle()
            record = self.last_record()
            expect_equal(record["result"], "succeeded", "the result")
        self.ask("timesync", services_host.set_time_by(0))
        self.backup()

    def case_window_ends_in_time(self) -> None:
        """A jump back by an hour does not make a window longer, nor one forward shorter."""
        for offset in (3600, -3600):
            self.configure('[freeze]\ntimeout = "4s"\nmax_window = "15s"\n')
            self.freeze()
            began = time.monotonic()
            self.ask("timesync", services_host.set_time_by(offset))
            self.machine.run("sleep 5")
            self.expect_state("frozen")
            self.expect_thawed(["/"])
            took = time.monotonic() - began
            expect(took < 40, f"thawed only after {took:.1f} s")
            self.say(f"a window of 15 s, with a jump of {offset} s: thawed after {took:.1f} s")
            self.thaw(success=False)
        self.ask("timesync", services_host.set_time_by(0))
        self.configure_as_shipped()
        self.backup()

    def case_kvp(self) -> None:
        """Data exchange: enumerations are answered in the window; a SET waits, and is done after the thaw."""
        self.machine.wait_until("systemctl is-active hv-kvp-daemon.service")
        self.ask_until_registered("kvp", services_host.kvp_set(0, "before", "1"))
        self.freeze()
        self.expect_frozen(["/"])
        answer = self.ask("kvp", services_host.kvp_enumerate(0, 0))
        expect_equal(answer.status, vss_host.S_OK, "the enumeration in the window")
        self.machine.send_packet(services_host.kvp_set(0, "in the window", "2"), "kvp")
        self.wait_until_blocked("hv_kvp_daemon")
        expect(self.machine.packets["kvp"].empty(), "the SET was answered in the window")
        self.expect_frozen(["/"])
        self.thaw()
        expect_equal(vss_host.parse(self.machine.host_packet(service="kvp")).status, vss_host.S_OK, "the SET")
        found = {}
        while True:
            self.machine.send_packet(services_host.kvp_enumerate(0, len(found)), "kvp")
            packet = self.machine.host_packet(service="kvp")
            status = vss_host.parse(packet).status
            if status == NO_MORE_ITEMS:
                break
            expect_equal(status, vss_host.S_OK, f"entry {len(found)}")
            key, value = services_host.kvp_entry(packet)
            found[key] = value
        expect_equal(found, {"before": "1", "in the window": "2"}, "the pool")
        self.wait_until_idle()
        self.backup()

    def case_file_copy(self) -> None:
        """A file that the host copies into a frozen filesystem waits, and is whole after the thaw.

        From Linux 6.10 on the driver of the service is another one, which Debian 13 has no daemon for.
        """
        if self.machine.start(f"modinfo -F alias hv_utils | grep -q {FCOPY_ALIAS}").done().status:
            self.say("no file copy: hv_utils of this kernel has none")
            return
        self.machine.offer("fcopy")
        self.machine.wait_until("systemctl is-active hv-fcopy-daemon.service")
        data = os.urandom(10 * FCOPY_FRAGMENT_SIZE + 1000)
        self.ask_until_registered("fcopy", services_host.fcopy_start("/srv/xfs", "copied", len(data)))
        fragments = range(0, len(data), FCOPY_FRAGMENT_SIZE)
        for offset in fragments[:5]:
            self.write_fragment(data, offset)
        self.freeze()
        self.expect_frozen(["/srv/xfs"])
        self.machine.send_packet(self.fragment(data, fragments[5]), "fcopy")
        self.wait_until_blocked("hv_fcopy_daemon")
        expect(self.machine.packets["fcopy"].empty(), "the fragment was answered in the window")
        self.thaw()
        expect_equal(vss_host.parse(self.machine.host_packet(service="fcopy")).status, vss_host.S_OK, "the fragment")
        for offset in fragments[6:]:
            self.write_fragment(data, offset)
        expect_equal(self.ask("fcopy", services_host.fcopy_complete()).status, vss_host.S_OK, "the end")
        copied = self.machine.run("sha256sum </srv/xfs/copied").split()[0]
        expect_equal(copied, hashlib.sha256(data).hexdigest(), "the file")
        self.machine.run("rm /srv/xfs/copied")
        self.machine.rescind("fcopy")
        self.wait_until_idle()
        self.backup()

    def fragment(self, data: bytes, offset: int) -> bytes:
        return services_host.fcopy_write(offset, data[offset:offset + FCOPY_FRAGMENT_SIZE])

    def write_fragment(self, data: bytes, offset: int) -> None:
        expect_equal(self.ask("fcopy", self.fragment(data, offset)).status, vss_host.S_OK, f"the fragment at {offset}")

    def case_shutdown(self) -> None:
        """The host shuts the guest down while / is frozen: everything is thawed, and the disks are clean."""
        self.freeze()
        self.expect_frozen(["/", "/srv/xfs", "/srv/lvm"])
        expect_equal(self.ask("shutdown", services_host.shutdown()).status, vss_host.S_OK, "the shutdown")
        self.machine.wait_for_power_off()
        system = output("dumpe2fs", "-h", self.machine.disk("system"))
        expect("needs_recovery" not in system, "the root filesystem needs recovery")
        output("e2fsck", "-fn", self.machine.disk("system"))
        output("xfs_repair", "-n", self.machine.disk("xfs"))
        self.machine.boot()
        last = self.machine.run("journalctl -b -1 -u quiesced -o cat --no-pager")
        expect("quiesced was asked to stop" in last, last)
        self.load_driver()
        self.wait_for_registration()
        self.backup()
