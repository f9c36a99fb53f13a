"""A machine whose QEMU is started by libvirt, and virsh."""
from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator
from xml.sax.saxutils import escape

from machine import PATIENCE, Done, Failure, Launcher, Machine
from qemu import accelerator

HERE = Path(__file__).resolve().parent
NAME = "machine"
CHANNEL = """
<channel type='unix'>
  <target type='virtio' name='org.qemu.guest_agent.0'/>
</channel>
"""
DISK = """
<disk type='file' device='disk'>
  <driver name='qemu' type='raw' cache='unsafe' discard='unmap'/>
  <source file='/run/machine/{file}'/>
  <target dev='vd{letter}' bus='virtio'/>
  <serial>{name}</serial>
</disk>
"""
# A reset takes the emulation minutes longer than a new process does.
DOMAIN = """
<domain type='{type}'>
  <name>{domain}</name>
  <memory unit='MiB'>1024</memory>
  <vcpu>2</vcpu>
  <cpu mode='maximum'/>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>/run/machine/kernel</kernel>
    <initrd>/run/machine/initrd</initrd>
    <cmdline>{command_line}</cmdline>
  </os>
  <features><acpi/></features>
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff>
  <on_reboot>destroy</on_reboot>
  <on_crash>destroy</on_crash>
  <devices>
    {disks}
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <serial type='file'><source path='/run/machine/{console}' append='on'/></serial>
    <channel type='unix'>
      <source mode='connect' path='/run/machine/agent.sock'/>
      <target type='virtio' name='quiesce.test'/>
    </channel>
    {channel}
  </devices>
</domain>
"""


class Libvirt(Launcher):
    """Starts QEMU by a daemon of libvirt's that knows this machine alone."""

    def start(self, machine: Machine, directory: str) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", HERE / "libvirt-daemon", machine.directory, machine.built / "kernel",
             machine.built / "initrd"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=open(machine.directory / "libvirt-daemon.log", "wb"))
        assert self._process.stdout
        if self._process.stdout.readline() != b"ready\n":
            raise Failure(f"libvirt's daemon did not start: {self.log(machine)}")
        disks = "".join(DISK.format(file=machine.disk(name).name, letter=chr(ord("a") + number), name=name)
                        for number, name in enumerate(machine.disks))
        (machine.directory / "domain.xml").write_text(DOMAIN.format(
            type="kvm" if accelerator(machine.built) == "kvm" else "qemu", domain=NAME, disks=disks,
            command_line=escape(machine.kernel_command_line), console=machine.console.name,
            channel=CHANNEL if machine.has_agent_port else ""))
        self.virsh("create", f"{directory}/domain.xml", timeout=120)

    def log(self, machine: Machine) -> str:
        return "".join(path.read_text() for path in machine.directory.glob("**/*.log") if path != machine.console)

    # --- virsh ---

    def spawn(self, *arguments: str | Path) -> subprocess.Popen:
        """Starts a command of virsh."""
        assert self._process
        # The daemon's working directory is the machine's, whose full name may be too long for a socket.
        socket = f"/proc/{self._process.pid}/cwd/libvirt-sock"
        return subprocess.Popen(
            ["virsh", "--connect", f"qemu+unix:///system?socket={socket}", *arguments],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=os.environ | {"LC_ALL": "C"})

    @staticmethod
    def finish(process: subprocess.Popen, timeout: float = PATIENCE) -> Done:
        """Waits for the end of a command of virsh."""
        command = " ".join(map(str, process.args[3:]))
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Failure(f"virsh {command}: no end after {timeout} s") from None
        return Done(command, process.returncode, out.strip(), err.strip())

    def attempt(self, *arguments: str | Path, timeout: float = PATIENCE) -> Done:
        return self.finish(self.spawn(*arguments), timeout)

    def virsh(self, *arguments: str | Path, timeout: float = PATIENCE) -> str:
        """The output of a command that has to succeed."""
        done = self.attempt(*arguments, timeout=timeout)
        if done.status != 0:
            raise Failure(f"virsh {done.command}: exit status {done.status}\n{done.out}{done.err}")
        return done.out

    # --- The daemon ---

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stops libvirt's daemon for the context. QEMU runs."""
        assert self._process
        init = subprocess.check_output(["pgrep", "--parent", str(self._process.pid)], text=True).strip()
        daemon = int(subprocess.check_output(["pgrep", "--parent", init, "--exact", "libvirtd"], text=True))
        os.kill(daemon, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(daemon, signal.SIGCONT)
