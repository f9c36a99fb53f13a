"""The machine while everything is frozen: clock, memory, the cgroup freezer, snapshots, filters."""
from __future__ import annotations

import time

from case import FROZEN, Group, expect, expect_equal

# Takes all memory but some MiB, and keeps the memory dirty until /run/eaten is removed.
EATER = """
import os, time
def available():
    return next(int(line.split()[1]) for line in open("/proc/meminfo") if line.startswith("MemAvailable"))
blocks = []
open("/proc/self/oom_score_adj", "w").write("1000")
while available() > 16 * 1024:
    blocks.append(bytearray(b"x" * (1 << 20)))
open("/run/eaten", "w").close()
while os.path.exists("/run/eaten"):
    for block in blocks[-64:]:
        block[0] ^= 1
    time.sleep(0.05)
"""

# Stores a rising number into persistent memory, through a mapping without a page cache (MAP_SYNC).
STORER = """
import ctypes, mmap, os, sys, time
file = os.open("/srv/dax/number", os.O_RDWR | os.O_CREAT)
os.ftruncate(file, 4096)
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
MAP_SHARED_VALIDATE, MAP_SYNC = 0x03, 0x80000
address = libc.mmap(None, ctypes.c_size_t(4096), 3, MAP_SHARED_VALIDATE | MAP_SYNC, file, ctypes.c_long(0))
if address == ctypes.c_void_p(-1).value:
    sys.exit(os.strerror(ctypes.get_errno()))
number = ctypes.c_uint64.from_address(address)
while True:
    number.value += 1
    if number.value == 100:
        open("/run/storing", "w").close()
    time.sleep(0.001)
"""


class Pressure(Group):
    """Windows held under adverse conditions. Each window must end well."""

    # 48 MiB of persistent memory: /dev/pmem0.
    kernel_arguments = "memmap=48M!512M"

    def set_up(self) -> None:
        self.make_filesystems()
        self.load_driver()
        self.wait_for_registration()

    def case_clock_jumps(self) -> None:
        """The wall clock jumps by an hour and by 400 days, forth and back: the window and its THAW do not notice."""
        for jump in (3600, -3600, 400 * 86400, -400 * 86400):
            self.freeze()
            self.machine.run(f"date --set @$(($(date +%s) + {jump}))")
            self.expect_frozen(["/"])
            self.thaw()
            self.wait_until_idle()
        record = self.last_record()
        expect_equal(record["result"], "succeeded", "the last request")

    def case_memory(self) -> None:
        """Memory runs out in the window: THAW is answered in time, and neither process is killed."""
        processes = self.machine.run("pidof quiesced quiesce-freezer")
        self.machine.put("/run/eater.py", EATER)
        self.freeze()
        eater = self.machine.start("python3 -B /run/eater.py", timeout=170)
        self.machine.wait_until("[ -e /run/eaten ]")
        began = time.monotonic()
        self.thaw()
        self.say(f"THAW was answered after {time.monotonic() - began:.1f} s with 16 MiB of memory left")
        self.expect_thawed(FROZEN)
        self.machine.run("rm /run/eaten /run/eater.py")
        eater.done(180)
        expect_equal(self.machine.run("pidof quiesced quiesce-freezer"), processes, "the processes")
        self.backup()

    def case_cgroup_freezer(self) -> None:
        """`systemctl freeze` stops both processes: everything is thawed as soon as both continue, and THAW fails."""
        self.configure('[freeze]\ntimeout = "4s"\nmax_window = "6s"\n')
        self.freeze()
        self.machine.run("echo 1 >/sys/fs/cgroup/system.slice/quiesced.service/cgroup.freeze; sleep 9")
        self.expect_frozen(["/"])
        self.machine.run("echo 0 >/sys/fs/cgroup/system.slice/quiesced.service/cgroup.freeze")
        self.expect_thawed(FROZEN)
        self.wait_for_registration()
        self.thaw(success=False)
        self.configure_as_shipped()
        self.backup()

    def case_snapshot_below(self) -> None:
        """A device-mapper snapshot of a frozen device, made in the window, is consistent, and THAW succeeds."""
        self.freeze()
        self.expect_frozen(["/srv/lvm"])
        device = self.machine.run("findmnt --noheadings --output SOURCE /srv/lvm")
        # Without locking the filesystem: quiesce has already frozen the filesystem.
        self.machine.run(
            "truncate --size 32M /run/cow; losetup /dev/loop9 /run/cow;"
            f"name={device.rsplit('/', 1)[-1]}; size=$(blockdev --getsz {device});"
            "dmsetup table $name | dmsetup create origin-real;"
            "dmsetup create copy --table \"0 $size snapshot /dev/mapper/origin-real /dev/loop9 N 8\";"
            "e2fsck -fn /dev/mapper/copy; dmsetup remove copy; dmsetup remove origin-real; losetup --detach /dev/loop9;"
            "rm /run/cow")
        self.thaw()
        self.expect_thawed(FROZEN)
        self.wait_until_idle()
        expect(self.last_record()["result"] == "succeeded", "the request failed")

    def case_dax(self) -> None:
        """Stores through a mapping of persistent memory (DAX) stop in the window, as other writes do."""
        self.machine.run(
            "mkfs.ext4 -q -b 4096 /dev/pmem0; mkdir -p /srv/dax; mount -o dax=always /dev/pmem0 /srv/dax;"
            "grep ' /srv/dax .*dax=always' /proc/mounts")
        self.machine.put("/run/storer.py", STORER)
        self.machine.run("systemd-run --quiet --unit storer python3 -B /run/storer.py")
        self.machine.wait_until("[ -e /run/storing ]")
        self.freeze()
        self.expect_frozen(["/srv/dax"])
        # Bypasses the page cache of the device: the stores do not go through the page cache.
        digest = "dd if=/dev/pmem0 iflag=direct bs=1M status=none | sha256sum"
        before = self.machine.run(digest)
        # Time for hundreds of stores.
        self.machine.run("sleep 1")
        expect_equal(self.machine.run(digest), before, "the device after a second of the window")
        self.machine.run(
            "dd if=/dev/pmem0 iflag=direct of=/run/pmem bs=1M status=none; e2fsck -fn /run/pmem; rm /run/pmem")
        self.thaw()
        self.machine.wait_until(f"[ \"$({digest})\" != '{before}' ]")
        self.wait_until_idle()
        expect_equal(self.last_record()["result"], "succeeded", "the last request")
        self.machine.run("systemctl stop storer; umount /srv/dax; rm /run/storing /run/storer.py")

    def filter_system_calls(self, line: str) -> None:
        self.machine.run("mkdir -p /run/systemd/system/quiesced.service.d")
        self.machine.put(
            "/run/systemd/system/quiesced.service.d/filter.conf",
            f"[Service]\nSystemCallFilter={line}\nSystemCallErrorNumber=EPERM\n")
        self.machine.run("systemctl daemon-reload; systemctl restart quiesced")

    def case_system_call_filter(self) -> None:
        """An admin's SystemCallFilter=: a usual filter does no harm; one that drops calls fails FREEZE by name."""
        self.filter_system_calls("@system-service @mount")
        self.wait_for_registration()
        self.backup()
        self.filter_system_calls("~openat2")
        self.wait_for_registration()
        cursor = self.journal_cursor()
        self.freeze(success=False)
        self.expect_thawed(FROZEN)
        self.say(self.wait_for_journal(cursor, "failed: .*").strip())
        self.machine.run("rm -r /run/systemd/system/quiesced.service.d; systemctl daemon-reload")
        self.restart()
        self.backup()
