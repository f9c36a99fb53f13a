"""What cases are made of: a machine for a group of them, and what several of them do."""
from __future__ import annotations

import json
import re
from pathlib import Path
from typing import ClassVar

import vss_host
from machine import Failure, Launcher, Machine
from qemu import QEMU

DISKS = {"xfs": 400, "btrfs": 256, "lvm1": 64, "lvm2": 64, "vfat": 64, "spare": 64}
# What is to be frozen of `make_filesystems`, innermost first as P6 has it, by order.
FROZEN = ["/", "/srv/xfs", "/srv/btrfs", "/srv/lvm", "/srv/loop"]
STOCK_UNIT = "hv-vss-daemon.service"


class Group:
    """Cases that share one machine, and leave it as they found it. A case is a method whose name begins with `case_`,
    and is what its docstring says; they run in the order in which they are written."""

    disks: ClassVar[dict[str, int]] = DISKS
    # Whether the machine's disk already has the package on it.
    is_installed: ClassVar[bool] = True
    kernel_arguments: ClassVar[str] = ""
    launcher: ClassVar[type[Launcher]] = QEMU
    has_agent_port: ClassVar[bool] = False

    def __init__(self, machine: Machine, package: Path) -> None:
        self.machine = machine
        self.package = package
        # In the output.
        self.name = type(self).__name__
        # With APT_CONFIG, apt-get downloads packages of the machine's suite.
        self.apt_configuration = Path()

    def set_up(self) -> None:
        """Done once, after the machine has come up."""

    def say(self, text: str) -> None:
        """Something measured, or seen, that whoever reads the output wants to know."""
        print(f"        {self.name}: {text}", flush=True)

    @classmethod
    def cases(cls) -> list[str]:
        return [name for name in vars(cls) if name.startswith("case_")]

    # --- Setting up ---

    def load_driver(self, module: str = "") -> None:
        self.machine.run(f"/usr/local/lib/vm/driver load {module}")
        self.machine.wait_until("[ -c /dev/vmbus/hv_vss ]")

    def install(self) -> None:
        """On the machine as it runs."""
        self.machine.copy_in(self.package, "/run/quiesce.deb")
        self.machine.run("dpkg -i /run/quiesce.deb && rm /run/quiesce.deb")
        self.wait_for_registration()

    def make_filesystems(self) -> None:
        self.machine.run("/usr/local/lib/vm/filesystems")

    def configure(self, text: str) -> None:
        """Gives quiesced a configuration of its own, and has it start again with that."""
        self.put_configuration(text)
        self.restart()

    def put_configuration(self, text: str) -> None:
        if self.machine.start("[ -e /run/quiesced.toml.shipped ]").done().status:
            self.machine.run("cp --archive /etc/quiesced/quiesced.toml /run/quiesced.toml.shipped")
        self.machine.put("/etc/quiesced/quiesced.toml", text)

    def configure_as_shipped(self) -> None:
        self.machine.run("cp --archive /run/quiesced.toml.shipped /etc/quiesced/quiesced.toml")
        self.restart()

    def restart(self) -> None:
        self.machine.run("systemctl restart quiesced")
        self.wait_for_registration()

    # --- Asking ---

    def wait_for_registration(self) -> None:
        """Until quiesced answers the host."""
        self.machine.wait_until(
            "quiescectl status --json | tr -d ' \\n' | grep -E '\"name\":\"hyperv\",\"registered\":true'")

    def wait_until_idle(self) -> None:
        self.machine.wait_until("quiescectl status --json | tr -d ' \\n' | grep '\"state\":\"idle\"'")

    def status(self) -> dict:
        return json.loads(self.machine.run("quiescectl status --json"))

    def property(self, name: str, unit: str = "quiesced.service") -> str:
        return self.machine.run(f"systemctl show --value --property {name} {unit}")

    def is_frozen(self, mount_point: str) -> bool:
        """Whether a second FIFREEZE is refused with EBUSY, which is the only proof there is."""
        done = self.machine.start(f"fsfreeze --freeze {mount_point}").done()
        if done.status == 0:
            self.machine.run(f"fsfreeze --unfreeze {mount_point}")
            return False
        if "busy" in done.err:
            return True
        raise Failure(f"fsfreeze: {done.err}")

    def expect_frozen(self, mount_points: list[str]) -> None:
        for mount_point in mount_points:
            if not self.is_frozen(mount_point):
                raise Failure(f"{mount_point} is not frozen")

    def expect_thawed(self, mount_points: list[str], within: float = 30) -> None:
        """A write to each gets through in time."""
        for mount_point in mount_points:
            file = f"{mount_point.rstrip('/')}/thawed"
            self.machine.run(f"touch {file} && sync --file-system {file} && rm {file}", timeout=within)

    def journal_cursor(self) -> str:
        """A place in the journal, for `journal`."""
        marker = f"marker {id(object())}"
        self.machine.run(f"echo '{marker}' | systemd-cat -t vm-test; journalctl --sync")
        entry = json.loads(self.machine.run("journalctl -t vm-test -n 1 -o json --no-pager"))
        if entry["MESSAGE"] != marker:
            raise Failure(f"the journal does not have {marker}")
        return entry["__CURSOR"]

    def journal(self, cursor: str, unit: str = "quiesced") -> str:
        """What the unit has logged since."""
        return self.machine.run(
            f"journalctl --sync; journalctl --cursor '{cursor}' -u {unit} -o cat --no-pager", check=False)

    def wait_for_journal(self, cursor: str, pattern: str) -> str:
        """Until the unit has logged a line with this extended regular expression."""
        self.machine.wait_until(
            f"journalctl --sync; journalctl --cursor '{cursor}' -u quiesced -o cat --no-pager | grep -E '{pattern}'")
        found = re.findall(f".*{pattern}.*", self.journal(cursor))
        return found[0] if found else ""

    def last_record(self) -> dict:
        """The last request, as the history has it. It is written after the answer."""
        return json.loads(self.machine.run("quiescectl show --json"))

    # --- Backups ---

    def freeze(self, success: bool = True) -> None:
        self.machine.expect(vss_host.FREEZE, success)

    def thaw(self, success: bool = True) -> None:
        self.machine.expect(vss_host.THAW, success)

    def backup(self) -> None:
        """A whole one, good from beginning to end."""
        self.machine.expect(vss_host.HOT_BACKUP, True)
        self.freeze()
        self.thaw()
        self.wait_until_idle()


def expect(condition: bool, message: str) -> None:
    if not condition:
        raise Failure(message)


def expect_equal(found: object, wanted: object, what: str) -> None:
    if found != wanted:
        raise Failure(f"{what}: {found!r}, and not {wanted!r}")
