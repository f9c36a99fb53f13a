"""A machine whose QEMU is a process of the test."""
from __future__ import annotations

import functools
import os
import select
import subprocess
import time
from pathlib import Path

from machine import Launcher, Machine


class QEMU(Launcher):
    """Starts QEMU with the arguments of every machine."""

    def start(self, machine: Machine, directory: str) -> None:
        arguments = [
            "qemu-system-x86_64", "-accel", accelerator(machine.built), "-cpu", "max", "-smp", "2",
            "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
            # A reset takes the emulation a minute longer than a new process does.
            "-no-reboot",
            "-kernel", str(machine.built / "kernel"), "-initrd", str(machine.built / "initrd"),
            "-append", machine.kernel_command_line,
            # Of every boot.
            "-chardev", f"file,id=console,path={machine.console},append=on", "-serial", "chardev:console",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={directory}/agent.sock",
            "-device", "virtserialport,chardev=agent,name=quiesce.test",
        ]
        if machine.has_agent_port:
            arguments += [
                "-chardev", f"socket,id=port,path={directory}/{machine.agent_port.name},server=on,wait=off",
                "-device", "virtserialport,chardev=port,name=org.qemu.guest_agent.0"]
        for name in machine.disks:
            arguments += [
                "-drive", f"file={machine.disk(name)},format=raw,if=none,id={name},cache=unsafe",
                "-device", f"virtio-blk-pci,drive={name},serial={name}"]
        # It dies with the test: nobody else would end it.
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments], stdin=subprocess.DEVNULL,
            stderr=open(machine.directory / "qemu.log", "wb"))

    def log(self, machine: Machine) -> str:
        return (machine.directory / "qemu.log").read_text()


@functools.cache
def accelerator(built: Path) -> str:
    """KVM, if a kernel says a word under it: where the machine is virtual itself it may be there and not work."""
    emulation = "tcg,thread=multi"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return emulation
    attempt = subprocess.Popen(
        ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config",
         "-display", "none", "-serial", "stdio", "-kernel", str(built / "kernel"), "-initrd", str(built / "initrd"),
         "-append", "console=ttyS0 earlyprintk=ttyS0 mitigations=off"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert attempt.stdout
    said = b""
    deadline = time.monotonic() + 5
    while b"Run /init" not in said and time.monotonic() < deadline:
        if select.select([attempt.stdout], [], [], max(0.0, deadline - time.monotonic()))[0]:
            said += os.read(attempt.stdout.fileno(), 4096)
    attempt.kill()
    attempt.wait()
    return "kvm" if b"Run /init" in said else emulation
