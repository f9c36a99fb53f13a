"""What a snapshot of a frozen machine is worth, and one of a machine that was not frozen."""
from __future__ import annotations

from case import FROZEN, Group, expect
from copies import Copies, check, last_number, mounted, needs_recovery
from writers import Writers

# By disk: what is on it, and where the machine has it.
KINDS = {"system": ("ext4", "/"), "xfs": ("xfs", "/srv/xfs"), "btrfs": ("btrfs", "/srv/btrfs")}


class Snapshots(Group):
    """The host copies the disks of a busy machine."""

    def set_up(self) -> None:
        self.make_filesystems()
        self.load_driver()
        self.wait_for_registration()

    def case_frozen(self) -> None:
        """The copies are consistent, and hold every write that was acknowledged before FREEZE was answered."""
        writers = Writers(self.machine, FROZEN)
        before = writers.acknowledged()
        self.freeze()
        acknowledged = writers.acknowledged()
        copies = Copies(self.machine, list(KINDS))
        self.thaw()
        writers.wait_for_more()
        writers.stop()
        try:
            for disk, (kind, mount_point) in KINDS.items():
                expect(acknowledged[mount_point] >= before[mount_point], f"{mount_point} went back")
                copy = copies.path(disk)
                if kind != "xfs":
                    expect(not needs_recovery(copy, kind), f"{mount_point} needs recovery")
                with mounted(copy, kind) as root:
                    # One more may have been written and not yet been acknowledged.
                    found = last_number(root)
                    expect(found >= acknowledged[mount_point],
                           f"{mount_point} has {found} of {acknowledged[mount_point]} numbers")
                    if kind == "btrfs":
                        expect((root / "inner").is_dir(), "btrfs lost its subvolume")
                check(copy, kind)
        finally:
            copies.remove()

    def case_not_frozen(self) -> None:
        """The same without freezing needs recovery: so the case above can fail."""
        writers = Writers(self.machine, FROZEN)
        try:
            for disk, (kind, mount_point) in KINDS.items():
                # A copy may by chance be one of the moment after a commit, when all is well; three in a row are not.
                expect(kind == "xfs" or any(self.needs_recovery(disk, kind) for _ in range(3)),
                       f"a copy of {mount_point}, which is written to, looks clean")
        finally:
            writers.stop()

    def needs_recovery(self, disk: str, kind: str) -> bool:
        copies = Copies(self.machine, [disk])
        try:
            return needs_recovery(copies.path(disk), kind)
        finally:
            copies.remove()
