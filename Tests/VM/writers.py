"""Programs in the guest that write while backups are taken."""
from __future__ import annotations

from machine import Machine

WRITER = r'''
import os, sys, time
directory, log = sys.argv[1:]
out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND)
file = os.open(f"{directory}/numbers", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
number = 0
while True:
    number += 1
    os.write(file, b"%d\n" % number)
    os.fsync(file)
    # On a tmpfs: what is acknowledged, when (CLOCK_MONOTONIC).
    os.write(out, b"%d %.6f\n" % (number, time.monotonic()))
    # Without a pause six of them leave an emulated machine no time for anything else.
    time.sleep(0.02)
'''


class Writers:
    """One in each directory: it writes numbers, a line each, with fsync, and notes each acknowledged one in /run."""

    def __init__(self, machine: Machine, directories: list[str]) -> None:
        self.machine = machine
        self.logs = {directory: f"/run/writer{directory.replace('/', '-')}" for directory in directories}
        machine.put("/run/writer.py", WRITER)
        for directory, log in self.logs.items():
            machine.run(
                f"systemd-run --quiet --unit 'writer{directory.replace('/', '-')}' python3 -B /run/writer.py {directory} {log}")
        for log in self.logs.values():
            machine.wait_until(f"[ $(wc -l <{log}) -gt 5 ]")

    def acknowledged(self) -> dict[str, int]:
        """How far each one is."""
        return {directory: int(self.machine.run(f"tail -n 1 {log} | cut -d ' ' -f 1"))
                for directory, log in self.logs.items()}

    def acknowledged_before(self, time: float) -> dict[str, int]:
        """How far each one was at a time since the epoch."""
        offset = self.machine.run("python3 -c 'import time; print(time.time() - time.monotonic())'")
        program = f"$2 + {offset} <= {time:.6f} {{ number = $1 }} END {{ print number + 0 }}"
        return {directory: int(self.machine.run(f"awk '{program}' {log}")) for directory, log in self.logs.items()}

    def wait_for_more(self) -> None:
        """Until each has written more than it has now."""
        for directory, number in self.acknowledged().items():
            self.machine.wait_until(f"[ $(wc -l <{self.logs[directory]}) -gt {number + 1} ]")

    def longest_stalls(self) -> dict[str, float]:
        """The longest time between two acknowledged writes of each, in seconds."""
        program = ("{ if (NR > 1 && $2 - last > worst) worst = $2 - last; last = $2 } END { print worst }")
        return {directory: float(self.machine.run(f"awk '{program}' {log}"))
                for directory, log in self.logs.items()}

    def stop(self) -> None:
        for directory, log in self.logs.items():
            self.machine.run(f"systemctl stop 'writer{directory.replace('/', '-')}'; rm {directory}/numbers {log}")
