"""g) A machine that is told to go down while everything is frozen."""
from __future__ import annotations

from case import DISKS, Group, expect, expect_equal
from copies import output
from vss_host import FREEZE


class Shutdown(Group):
    """The end comes in the window: a clean one."""

    disks = {name: DISKS[name] for name in ("xfs", "btrfs", "lvm1", "lvm2", "vfat")}

    def set_up(self) -> None:
        self.make_filesystems()
        self.load_driver()
        self.wait_for_registration()

    def freeze_everything(self) -> None:
        self.machine.expect(FREEZE, True)
        self.expect_frozen(["/", "/srv/xfs", "/srv/lvm"])

    def case_reboot(self) -> None:
        """`systemctl reboot` in the window: it comes up again, and finds nothing to recover."""
        self.freeze_everything()
        self.machine.start("systemctl reboot --no-block")
        self.machine.wait_for_reboot()
        log = self.machine.run("dmesg")
        expect("recovery complete" not in log and "orphan cleanup" not in log, "the root filesystem was recovered")
        self.machine.run("mount /dev/disk/by-id/virtio-xfs /srv/xfs && mount /dev/group/data /srv/lvm")
        log = self.machine.run("dmesg")
        expect("Starting recovery" not in log and "recovery complete" not in log, "a filesystem was recovered")
        last = self.machine.run("journalctl -b -1 -u quiesced -o cat --no-pager")
        expect("quiesced was asked to stop" in last, last)
        self.load_driver()
        self.wait_for_registration()
        self.backup()

    def case_power_off(self) -> None:
        """`systemctl poweroff` in the window: the disks that it leaves are clean."""
        self.freeze_everything()
        self.machine.start("systemctl poweroff --no-block")
        self.machine.wait_for_power_off()
        system = output("dumpe2fs", "-h", self.machine.disk("system"))
        expect("needs_recovery" not in system, "the root filesystem needs recovery")
        expect_equal([line for line in system.split("\n") if line.startswith("Filesystem state:")],
                     ["Filesystem state:         clean"], "the root filesystem")
        output("e2fsck", "-fn", self.machine.disk("system"))
        output("xfs_repair", "-n", self.machine.disk("xfs"))
        output("btrfs", "check", self.machine.disk("btrfs"))
