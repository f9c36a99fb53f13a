"""Copies of the machine's disks, as the host's snapshot takes them, and what is in them."""
from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Iterator

from machine import Failure, Machine, copy_sparse


# Disks to be copied: by disk, its filesystem, and where the machine has that.
KINDS = {"system": ("ext4", "/"), "xfs": ("xfs", "/srv/xfs"), "btrfs": ("btrfs", "/srv/btrfs")}


class Copies:
    """The disks of a machine at one moment, one after the other, as a snapshot without quiesce's help has them."""

    def __init__(self, machine: Machine, names: list[str]) -> None:
        self.directory = machine.directory
        self.names = names
        for name in names:
            copy_sparse(machine.disk(name), self.path(name))

    def path(self, name: str) -> Path:
        return self.directory / f"{name}.copy"

    def remove(self) -> None:
        for name in self.names:
            self.path(name).unlink(missing_ok=True)


def run(*command: str | Path) -> subprocess.CompletedProcess:
    return subprocess.run(command, capture_output=True, text=True)


def output(*command: str | Path) -> str:
    done = run(*command)
    if done.returncode != 0:
        raise Failure(f"{' '.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def needs_recovery(copy: Path, kind: str) -> bool:
    """Whether an ext4 or a btrfs, as it is, would have to be recovered by whoever mounts it.

    An xfs has that written in its log even when it is frozen, on purpose: so that orphans are removed.
    """
    if kind == "ext4":
        return "needs_recovery" in output("dumpe2fs", "-h", copy)
    superblock = output("btrfs", "inspect-internal", "dump-super", copy)
    return not re.search(r"^log_root\s+0$", superblock, re.MULTILINE)


@contextmanager
def mounted(copy: Path, kind: str) -> Iterator[Path]:
    """Read-write: what is to be recovered is recovered. In a mount namespace of nobody's but this process's."""
    with TemporaryDirectory() as directory:
        options = "loop,nouuid" if kind == "xfs" else "loop"
        output("mount", "-t", kind, "-o", options, copy, directory)
        try:
            yield Path(directory)
        finally:
            output("umount", directory)


def check(copy: Path, kind: str) -> None:
    """The filesystem's own checker finds nothing, after one read-write mount."""
    commands = {
        "ext4": ["e2fsck", "-fn", copy], "xfs": ["xfs_repair", "-n", copy], "btrfs": ["btrfs", "check", copy],
    }
    output(*commands[kind])


def check_snapshot(copies: Copies, acknowledged: dict[str, int]) -> None:
    """Copies of `KINDS` are consistent, need no recovery, and have every acknowledged number of `Writers`."""
    for disk, (kind, mount_point) in KINDS.items():
        copy = copies.path(disk)
        # An xfs says so even when frozen: see `needs_recovery`.
        if kind != "xfs" and needs_recovery(copy, kind):
            raise Failure(f"{mount_point} needs recovery")
        with mounted(copy, kind) as root:
            # One more may have been written and not yet been acknowledged.
            found = last_number(root)
            if found < acknowledged[mount_point]:
                raise Failure(f"{mount_point} has {found} of {acknowledged[mount_point]} numbers")
            if kind == "btrfs" and not (root / "inner").is_dir():
                raise Failure("btrfs lost its subvolume")
        check(copy, kind)


def last_number(root: Path) -> int:
    """How far the writer was: the last whole line; every number before it has to be there."""
    text = (root / "numbers").read_text()
    numbers = text[: text.rfind("\n") + 1].split()
    if numbers != [str(number) for number in range(1, len(numbers) + 1)]:
        raise Failure(f"{root}: there are gaps among the numbers")
    return len(numbers)
