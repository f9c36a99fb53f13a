"""Filesystems to freeze, and writers on them. Only in a scratch world."""

import os
import pathlib
import subprocess
import sys

if os.environ.get("QUIESCE_SCRATCH_WORLD") != "1":
    sys.exit("this freezes: it is run in a scratch world only (Tests/Bench/run)")

PROGRAMS = pathlib.Path("/quiesce/bench")


def run(*arguments):
    """Runs a program that must succeed, and gives what it writes."""
    done = subprocess.run([str(argument) for argument in arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, arguments))}: exit status {done.returncode}: {done.stdout}")
    return done.stdout.strip()


class Filesystem:
    """ext4 or xfs, on zram (in memory) or on a loop file (on the disk)."""

    def __init__(self, number, backing, mebibytes=400, kinds=("ext4", "xfs")):
        self.kind = kinds[number % len(kinds)]
        self.path = pathlib.Path(f"/mnt/{number:03}")
        self.path.mkdir(exist_ok=True)
        self.backing = backing
        if backing == "zram":
            self.device = run("scratch-zram", f"{mebibytes}M")
        else:
            self.image = pathlib.Path(f"/var/tmp/{number:03}.img")
            run("truncate", "--size", f"{mebibytes}M", self.image)
            self.device = run("losetup", "--find", "--show", self.image)
        run(f"mkfs.{self.kind}", "-q", "-F" if self.kind == "ext4" else "-f", self.device)
        run("mount", "-o", "noatime", self.device, self.path)

    def remove(self):
        """Takes it away, with its device."""
        run("umount", self.path)
        if self.backing == "zram":
            # The world removes it at its end; until then it holds no memory.
            number = self.device.removeprefix("/dev/zram")
            pathlib.Path(f"/sys/block/zram{number}/reset").write_text("1")
        else:
            run("losetup", "--detach", self.device)
            self.image.unlink()


class Lines:
    """A program that is asked and answers by lines."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, bufsize=1)
        self.expect()

    def expect(self):
        """The next line."""
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.process.args} has ended")
        return line.strip()

    def send(self, line):
        """Asks."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def end(self):
        """Ends it."""
        self.process.stdin.close()
        self.process.wait(60)


class Writers:
    """A busy writer on each filesystem."""

    def __init__(self, filesystems):
        self.all = [Lines(PROGRAMS / "writer", filesystem.path / "data") for filesystem in filesystems]

    def longest(self):
        """The longest write of each since the last time, in milliseconds."""
        for writer in self.all:
            writer.send("?")
        return [int(writer.expect().split()[0]) / 1e6 for writer in self.all]

    def end(self):
        """Ends them."""
        for writer in self.all:
            writer.end()
