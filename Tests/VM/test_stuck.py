"""Hangs in the kernel, under systemd: a FIFREEZE of /, and a killed daemon that cannot end."""
from __future__ import annotations

import time

from case import expect, expect_equal
from test_storage import CONFIGURATION, Storage

# Holds write access to / until exit: opens a file with O_TRUNC, and never permits the open (fanotify(7)).
HOLDER = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
path = b"/var/tmp/held"
os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
CLASS_CONTENT, CLOEXEC, MARK_ADD, OPEN_PERM, AT_FDCWD = 0x4, 0x1, 0x1, 0x10000, -100
group = libc.fanotify_init(CLASS_CONTENT | CLOEXEC, os.O_RDONLY)
assert group >= 0 and libc.fanotify_mark(group, MARK_ADD, ctypes.c_uint64(OPEN_PERM), AT_FDCWD, path) == 0
if os.fork() == 0:
    os.open(path, os.O_WRONLY | os.O_TRUNC)
    os._exit(0)
os.read(os.open("/run/enough", os.O_RDONLY), 1)
"""


class Stuck(Storage):
    """On a machine with / alone, so that nothing else waits for what hangs. Each case ends the hang."""

    def set_up(self) -> None:
        self.load_driver()
        self.wait_for_registration()
        self.configure(CONFIGURATION)
        self.machine.run("mkdir /srv/odd")

    def stick_root(self) -> None:
        """Make a request fail because the FIFREEZE of / waits for a writer."""
        self.machine.put("/run/holder.py", HOLDER)
        self.machine.run(
            "mkfifo /run/enough; systemd-run --quiet --unit holder python3 -B /run/holder.py;"
            "until grep -q fanotify /proc/$(pgrep -n -f holder.py)/wchan; do sleep 0.1; done")
        self.freeze(success=False)
        expect_equal(self.status()["stuck"], ["/"], "what is stuck")

    def release_root(self) -> None:
        self.machine.run("echo >/run/enough; rm /run/enough /run/holder.py")

    def case_sysrq_while_stuck(self) -> None:
        """The kernel's emergency thaw does not end a FIFREEZE blocked by a writer."""
        self.stick_root()
        self.machine.run("echo 1 >/proc/sys/kernel/sysrq; echo j >/proc/sysrq-trigger; sleep 2; dmesg | grep -i thaw")
        expect_equal(self.status()["stuck"], ["/"], "what is stuck after SysRq-j")
        self.release_root()
        self.expect_thawed(["/"])
        self.machine.wait_until("! quiescectl status | grep STUCK")
        self.backup()

    def case_both_killed_while_stuck(self) -> None:
        """Both processes are killed, then the FIFREEZE returns: systemd's recover, or the next daemon, thaws /."""
        self.stick_root()
        self.machine.run("kill -KILL $(pidof quiesced quiesce-freezer)")
        self.machine.run("sleep 3")
        self.release_root()
        began = time.monotonic()
        self.expect_thawed(["/"])
        self.say(f"/ was thawed {time.monotonic() - began:.1f} s after its FIFREEZE had returned")
        self.wait_for_registration()
        self.thaw(success=False)
        self.backup()

    def case_daemon_that_cannot_end(self) -> None:
        """A killed daemon with a hanging flush: the freezer thaws at once; systemd runs recover within its limits."""
        self.mount_odd()
        self.dirty()
        self.machine.run("dmsetup suspend --noflush --nolockfs odd")
        self.freeze(success=False)
        self.machine.run("umount --lazy /srv/odd")
        daemon, stop_post = self.property("MainPID"), self.property("ExecStopPost")
        self.freeze()
        self.expect_frozen(["/"])
        self.machine.run(f"kill -KILL {daemon}")
        self.expect_thawed(["/"], within=5)
        killed = time.monotonic()
        expect_equal(self.machine.run(f"ps -o stat= -p {daemon}")[:1], "Z", "the state of the killed daemon")
        while self.property("ExecStopPost") == stop_post and time.monotonic() < killed + 120:
            self.machine.run("sleep 1")
        took = time.monotonic() - killed
        self.say(f"systemd ran recover {took:.0f} s after the daemon's SIGKILL")
        expect(took < 90, f"recover ran after {took:.0f} s")
        self.machine.run("dmsetup resume odd")
        self.wait_for_registration()
        self.machine.run("dmsetup remove --retry odd")
        self.thaw(success=False)
        self.backup()
