"""The state for the host, by the distribution's driver and daemon of data exchange."""
from __future__ import annotations

import json
import time

import services_host
import vss_host
from case import Group, expect, expect_equal
from machine import Failure

# The pool of the guest, which hosts show as GuestExchangeItems.
GUEST_POOL = 1
POOL = "/var/lib/hyperv/.kvp_pool_1"
UNIT = "hv-kvp-daemon.service"
HOOK = "/etc/quiesced/hooks.d/10-test"


class Kvp(Group):
    """quiesced publishes, stock hv_kvp_daemon reads the pool, and the host enumerates it."""

    disks = {}

    def set_up(self) -> None:
        self.load_driver()
        self.wait_for_registration()
        # udev starts the daemon.
        self.machine.wait_until(f"[ -c /dev/vmbus/hv_kvp ] && [ -e {POOL} ]")

    # --- The host ---

    def items(self) -> dict[str, str]:
        """All items of the guest, as Get-CimInstance shows them."""
        items: dict[str, str] = {}
        for index in range(1000):
            self.machine.send_packet(services_host.kvp_enumerate(GUEST_POOL, index), "kvp")
            packet = self.machine.host_packet(service="kvp")
            status = vss_host.parse(packet).status
            if status == services_host.NO_MORE_ITEMS:
                return items
            expect_equal(status, vss_host.S_OK, f"the status of item {index}")
            key, value = services_host.kvp_entry(packet)
            expect(key not in items, f"{key} is there twice")
            items[key] = value
        raise Failure("the enumeration has no end")

    def wait_for_state(self, state: str, within: float = 20) -> dict:
        """Until the host sees the state, and a summary of the same state."""
        deadline = time.monotonic() + within
        while True:
            items = self.items()
            summary = json.loads(items.get("quiesce.summary", "{}"))
            if items.get("quiesce.state") == summary.get("state") == state:
                return summary
            if time.monotonic() > deadline:
                raise Failure(f"the host does not see {state}: {items}")
            time.sleep(0.1)

    # --- Cases ---

    def case_pool_appears(self) -> None:
        """With the shipped configuration: the stock daemon makes the pool after the start of quiesced."""
        self.machine.run(f"systemctl stop {UNIT}; rm {POOL}")
        self.restart()
        cursor = self.journal_cursor()
        self.machine.run(f"systemctl start {UNIT}")
        self.machine.wait_until(f"[ -e {POOL} ]")
        summary = self.wait_for_state("attention", within=90)
        expect_equal(summary["why"], ["no backup of the whole machine is on record"], "why")
        expect_equal(summary["boot_id"], self.machine.run("cat /proc/sys/kernel/random/boot_id").strip(), "boot id")
        expect_equal(self.journal(cursor).count(POOL), 0, "lines about the pool")

    def case_good(self) -> None:
        """A good backup, and the host's look at the values while everything is frozen."""
        self.backup()
        summary = self.wait_for_state("ok")
        record = self.last_record()
        expect_equal(summary["last_good"]["id"], record["id"], "the last good backup")
        expect_equal(summary["last"]["channel"], "hyperv", "channel")
        self.say(f"{json.dumps(summary)}")
        self.freeze()
        self.expect_frozen(["/"])
        expect_equal(json.loads(self.items()["quiesce.summary"]), summary, "the summary in the window")
        self.thaw()
        self.expect_thawed(["/"])
        deadline = time.monotonic() + 20
        while self.wait_for_state("ok")["last"]["id"] == record["id"]:
            expect(time.monotonic() < deadline, "the second backup is not published")

    def case_failed(self) -> None:
        """A hook fails before the freeze: failed, with the last good backup; and ok again after the next one."""
        good = self.wait_for_state("ok")["last_good"]["id"]
        self.machine.put(HOOK, "#!/bin/sh\n[ \"$1\" = thaw ]\n", mode="755")
        self.freeze(success=False)
        summary = self.wait_for_state("failed")
        expect_equal(summary["last"]["result"], "failed", "result")
        expect_equal(summary["last_good"]["id"], good, "the last good backup")
        self.thaw()
        self.machine.run(f"rm {HOOK}")
        self.backup()
        self.wait_for_state("ok")

    def case_attention(self) -> None:
        """A hook fails at thaw: attention, until an admin acknowledges it."""
        self.machine.put(HOOK, "#!/bin/sh\n[ \"$1\" = freeze ]\n", mode="755")
        self.backup()
        expect_equal(self.wait_for_state("attention")["attention"], ["10-test"], "hooks")
        self.machine.run(f"rm {HOOK}; quiescectl acknowledge")
        self.wait_for_state("ok")

    def case_killed(self) -> None:
        """SIGKILL in the window: failed at the next start. A clean stop: attention."""
        self.freeze()
        self.machine.run("kill -KILL $(pidof quiesced)")
        self.expect_thawed(["/"])
        self.wait_for_registration()
        self.wait_for_state("failed")
        self.thaw(success=False)
        self.backup()
        self.wait_for_state("ok")
        self.machine.run("systemctl stop quiesced")
        expect_equal(self.wait_for_state("attention")["daemon"], "stopped", "the daemon")
        self.machine.run("systemctl start quiesced")
        self.wait_for_registration()
        self.wait_for_state("ok")

    def case_others(self) -> None:
        """Another program's records stay, also where hv_kvp_daemon reads them all the time."""
        self.machine.run(
            "cat >/run/append.py", input=f"""
import fcntl, struct
for number in range(20):
    with open("{POOL}", "ab") as pool:
        fcntl.flock(pool, fcntl.LOCK_EX)
        pool.write(struct.pack("512s2048s", b"OTHER|%d" % number, b"value %d" % number))
        pool.flush()
        fcntl.flock(pool, fcntl.LOCK_UN)
""")
        appending = self.machine.start("python3 /run/append.py")
        self.backup()
        expect_equal(appending.done().status, 0, "the other program")
        self.wait_for_state("ok")
        items = self.items()
        for number in range(20):
            expect_equal(items[f"OTHER|{number}"], f"value {number}", "another program's value")
        expect_equal(len(items), 22, "items")
