"""Scratch filesystems, and the programs that are run on them. Only in a scratch world."""

import os
import pathlib
import shutil
import subprocess
import sys
import time

if os.environ.get("QUIESCE_SCRATCH_WORLD") != "1":
    sys.exit("this freezes: it is run in a scratch world only (Tests/Databases/run)")


class Failed(Exception):
    """Something is not as it should be."""


def run(*arguments, **options):
    """Runs a program that must succeed, and gives what it writes."""
    done = subprocess.run([str(argument) for argument in arguments], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False, **options)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, arguments))}: exit status {done.returncode}: {done.stdout}")
    return done.stdout


def wait_until(what, condition, seconds=60):
    """Asks again until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise Failed(f"not within {seconds} s: {what}")
        time.sleep(0.02)


class Filesystem:
    """An ext4 in an image, mounted through a loop device."""

    def __init__(self, name, mebibytes):
        self.image = pathlib.Path("/var/lib/images") / name
        self.image.parent.mkdir(parents=True, exist_ok=True)
        self.path = pathlib.Path("/mnt") / name
        run("truncate", "--size", f"{mebibytes}M", self.image)
        run("mkfs.ext4", "-q", "-F", self.image)
        self.path.mkdir(exist_ok=True)
        run("mount", "-o", "loop,noatime", self.image, self.path)

    def remove(self):
        """Unmounts it, which must be possible by now."""
        run("umount", self.path)
        self.image.unlink()


class Copy:
    """What a host would restore: the images as they were in the window, mounted elsewhere."""

    def __init__(self, images):
        self.images = images
        self.paths = []

    def __enter__(self):
        for image in self.images:
            path = pathlib.Path("/mnt/copy") / image.stem
            path.mkdir(parents=True, exist_ok=True)
            run("mount", "-o", "loop,noatime", image, path)
            self.paths.append(path)
        return self

    def __exit__(self, *_):
        for path in self.paths:
            run("umount", path)
        for image in self.images:
            image.unlink()


class Program:
    """A server that is started, asked, and ended."""

    def __init__(self, *arguments, log, user=None):
        self.log = pathlib.Path(log)
        prefix = ["setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups"] if user else []
        with open(self.log, "wb") as output:
            self.process = subprocess.Popen([*prefix, *map(str, arguments)], stdout=output,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)

    def require(self):
        """It runs."""
        if self.process.poll() is not None:
            raise Failed(f"{self.process.args} has ended: {self.text[-3000:]}")

    @property
    def text(self):
        """What it has written."""
        return self.log.read_text(errors="replace")

    def end(self, signal=15):
        """Has it end in order."""
        if self.process.poll() is None:
            self.process.send_signal(signal)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def fresh_directory(path, user):
    """An empty directory of a user."""
    path = pathlib.Path(path)
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(parents=True)
    shutil.chown(path, user, user)
    path.chmod(0o700)
    return path
