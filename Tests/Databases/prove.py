"""Live backups of a database under load, with its hook and without: is each copy whole, and how long did writers wait?"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import threading
import time

import servers
from scratch import Copy, Failed, Program, run, wait_until

BACKUPS = int(os.environ.get("PROOF_BACKUPS", "20"))
WITHOUT_HOOK = max(1, min(3, BACKUPS))
CONFIGURATION = pathlib.Path("/etc/quiesced/quiesced.toml")
CONTROL = "/quiesce/bin/quiescectl"
COPIES = pathlib.Path("/tmp/copies")


class Writer(threading.Thread):
    """A client that writes numbered rows as fast as it can, and notes each that is acknowledged."""

    def __init__(self, write):
        super().__init__(daemon=True)
        self.write = write
        self.acknowledged = 0
        self.longest = 0.0
        self.problem = None
        self.is_wanted = True

    def run(self):
        number = 0
        while self.is_wanted:
            number += 1
            begun = time.monotonic()
            try:
                self.write(number)
            except Exception as error:  # pylint: disable=broad-except
                self.problem = error
                return
            self.longest = max(self.longest, time.monotonic() - begun)
            self.acknowledged = number

    def wait_for(self, number):
        """Waits until a row has been acknowledged."""
        def is_there():
            if self.problem:
                raise Failed(f"the client failed: {self.problem!r}")
            return self.acknowledged >= number
        wait_until(f"row {number} is written", is_there)

    def end(self):
        """Has it end."""
        self.is_wanted = False
        self.join(60)
        if self.problem:
            raise Failed(f"the client failed: {self.problem!r}")


class Daemon:
    """quiesced with one hook, or none."""

    def __init__(self):
        CONFIGURATION.parent.mkdir(parents=True, exist_ok=True)
        CONFIGURATION.write_text("[hyperv]\nenabled = false\n")
        self.program = Program("/quiesce/bin/quiesced", log="/tmp/quiesced.log")
        wait_until("quiesced serves", lambda: subprocess.run(
            [CONTROL, "status"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0)

    @staticmethod
    def enable(database):
        """Enables the hook by its command, and sets it."""
        print(run(CONTROL, "hooks", "enable", database.hook), end="")
        if database.settings:
            settings = CONFIGURATION.parent / "hooks.conf.d" / database.hook
            settings.write_text(database.settings)

    @staticmethod
    def disable(database):
        """Disables it by its command."""
        print(run(CONTROL, "hooks", "disable", database.hook), end="")

    @staticmethod
    def backup(filesystems):
        """Copies the images in the window. Gives the copies and the record."""
        COPIES.mkdir(exist_ok=True)
        copies = [COPIES / f"{filesystem.image.name}.copy" for filesystem in filesystems]
        run(CONTROL, "exec", "--", "sh", "-c",
            " && ".join(f"cp --sparse=always {filesystem.image} {copy}"
                        for filesystem, copy in zip(filesystems, copies)))
        wait_until("the request is over", lambda: '"idle"' in run(CONTROL, "status", "--json"))
        return copies, json.loads(run(CONTROL, "show", "--json"))

    @staticmethod
    def exec_in_window(command):
        """A backup with the hook, good to its end."""
        run(CONTROL, "exec", "--", "sh", "-c", command)
        wait_until("the request is over", lambda: '"idle"' in run(CONTROL, "status", "--json"))
        record = json.loads(run(CONTROL, "show", "--json"))
        if record["result"] != "succeeded" or record["level"] != "application":
            raise Failed(f"{command}: {record}")

    @staticmethod
    def expect_loss(command):
        """What the hook holds is ended in the window, and that is told."""
        done = subprocess.run([CONTROL, "exec", "--", "sh", "-c", command], text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, check=False)
        if done.returncode != 5:
            raise Failed(f"exit status {done.returncode}, not 5, though the lock was lost: {done.stdout}")
        wait_until("the request is over", lambda: '"idle"' in run(CONTROL, "status", "--json"))
        print(f"  its lock lost in the window: {json.loads(run(CONTROL, 'show', '--json'))['reason']}")

    def end(self):
        """Ends it."""
        self.program.end()


def check(rows, before, after):
    """Every row that was acknowledged before the backup was asked for, and no gap."""
    if rows != list(range(1, len(rows) + 1)):
        gap = next(number for number, row in enumerate(rows, 1) if row != number)
        raise Failed(f"there is a gap at row {gap} of {len(rows)}")
    if len(rows) < before:
        raise Failed(f"row {before} was acknowledged before the backup, but the last on the copy is {len(rows)}")
    if len(rows) > after + 1:
        raise Failed(f"the copy has row {len(rows)}, but only {after} were written")


def back_up(database, writer, has_hook):
    """One backup, from the question to the look at the copy. Gives stall, window, and what is wrong with the copy."""
    writer.longest = 0.0
    writer.wait_for(writer.acknowledged + 1)
    before = writer.acknowledged
    copies, record = Daemon.backup(database.filesystems)
    # The write that waited is over.
    after = writer.acknowledged
    writer.wait_for(after + 1)
    stall = writer.longest
    expected = "application" if has_hook else "filesystem"
    if record["level"] != expected:
        raise Failed(f"the level is {record['level']}: {record.get('reason')}")
    calls = [f"{call['name']} {call['phase']} {call['outcome']}: {call.get('output', '').strip()}"
             for call in record["hooks"]]
    wrong = None
    with Copy(copies) as copy:
        try:
            check(database.open(copy), before, after + 1)
            if has_hook and hasattr(database, "require_hook"):
                database.require_hook()
        except Failed as problem:
            wrong = problem
    return stall, record["window"]["duration_ms"] / 1000, wrong, calls


def prove(name, daemon):
    """All backups of one database. Gives whether they were good."""
    print(f"\n=== {name} ===", flush=True)
    database = servers.ALL[name]()
    database.start()
    writer = Writer(database.connect())
    writer.start()
    writer.wait_for(100)
    is_good = True
    try:
        daemon.enable(database)
        for has_hook, count in ((True, BACKUPS), (False, WITHOUT_HOOK)):
            if not has_hook:
                if hasattr(database, "rehearse_hook"):
                    database.rehearse_hook(daemon.exec_in_window, writer)
                if hasattr(database, "break_hook"):
                    daemon.expect_loss(database.break_hook())
                daemon.disable(database)
            stalls, windows = [], []
            for number in range(1, count + 1):
                stall, window, wrong, calls = back_up(database, writer, has_hook)
                stalls.append(stall)
                windows.append(window)
                if number == 1:
                    for call in calls:
                        print(f"  {call}")
                if wrong:
                    print(f"  copy {number}: {wrong}", flush=True)
                    is_good = is_good and not has_hook
            print("  stalls, ms: " + " ".join(f"{stall * 1000:.0f}" for stall in stalls))
            print(f"  {'with' if has_hook else 'without'} the hook: {count} backups; client stall median "
                  f"{statistics.median(stalls) * 1000:.0f} ms, worst {max(stalls) * 1000:.0f} ms; window median "
                  f"{statistics.median(windows) * 1000:.0f} ms, worst {max(windows) * 1000:.0f} ms;\n"
                  f"    last copy: {database.difference}", flush=True)
        writer.end()
        print(f"  {writer.acknowledged} rows were written")
    finally:
        database.stop()
    for filesystem in database.filesystems:
        filesystem.remove()
    return is_good


def main():
    """Exit status 1 if a copy of a backup with its hook was not good."""
    names = sys.argv[1:] or list(servers.ALL)
    daemon = Daemon()
    try:
        bad = [name for name in names if not prove(name, daemon)]
    except Failed as problem:
        print(f"FAILED: {problem}\n{daemon.program.text[-3000:]}")
        return 1
    finally:
        daemon.end()
    print(f"\n{'FAILED: ' + ', '.join(bad) if bad else 'every copy was good'}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
