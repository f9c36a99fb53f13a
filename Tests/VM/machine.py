"""One virtual machine: its disks, its process, commands in it, and the host's end of its VSS channel."""
from __future__ import annotations

import base64
import functools
import itertools
import json
import os
import queue
import select
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import vss_host

# Emulated, on a busy machine, everything takes its time; what is late after this never comes.
PATIENCE = 60.0


class Failure(Exception):
    """What a case expected did not happen."""


@dataclass(frozen=True)
class Done:
    """A command that has ended in the guest."""

    command: str
    status: int
    out: str
    err: str


class Pending:
    """Something asked of the guest that is not done yet."""

    def __init__(self, what: str) -> None:
        self.what = what
        self._arrived: queue.SimpleQueue = queue.SimpleQueue()
        self.is_done = False

    def put(self, answer: dict) -> None:
        self.is_done = True
        self._arrived.put(answer)

    def wait(self, timeout: float = PATIENCE) -> dict:
        try:
            answer = self._arrived.get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"no end after {timeout} s: {self.what}") from None
        if "failure" in answer:
            raise Failure(f"{self.what}: {answer['failure']}")
        return answer

    def done(self, timeout: float = PATIENCE) -> Done:
        answer = self.wait(timeout)
        return Done(self.what, answer["status"], answer["out"], answer["err"])


@dataclass
class Machine:
    """Boots from a copy of a disk. A context: whatever happens, its process ends with it."""

    directory: Path
    # Where the kernel and the initrd are.
    built: Path
    system: Path
    # Empty disks beside the system's, by the serial number that names them in the guest; MiB.
    extra_disks: dict[str, int] = field(default_factory=dict)
    # In addition to the arguments of every machine.
    kernel_arguments: str = ""
    # Whether the machine has the port of QEMU's guest agent. The host's end is the socket `agent_port`.
    has_agent_port: bool = False

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.console = self.directory / "console.log"
        self.console.unlink(missing_ok=True)
        self.process: subprocess.Popen | None = None
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._numbers = itertools.count(1)
        self._transactions = itertools.cycle(range(1, 255))
        self._hello: queue.SimpleQueue = queue.SimpleQueue()
        self.packets: queue.SimpleQueue = queue.SimpleQueue()
        copy_sparse(self.system, self.disk("system"))
        for name, size in self.extra_disks.items():
            with open(self.disk(name), "wb") as file:
                file.truncate(size << 20)

    def disk(self, name: str) -> Path:
        return self.directory / f"{name}.disk"

    def __enter__(self) -> Machine:
        self.boot()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    # --- Life ---

    def boot(self) -> None:
        """Starts it, and waits until it takes commands."""
        listener = socket.socket(socket.AF_UNIX)
        path = self.directory / "agent.sock"
        path.unlink(missing_ok=True)
        # A path of its own length may be too long for the kernel: by the directory's descriptor it never is.
        descriptor = os.open(self.directory, os.O_DIRECTORY)
        short = self.short_path(descriptor, "agent.sock")
        listener.bind(short)
        listener.listen()
        arguments = [
            "qemu-system-x86_64", "-accel", accelerator(self.built), "-cpu", "max", "-smp", "2",
            "-m", "1024", "-nodefaults", "-no-user-config", "-display", "none", "-nic", "none",
            # A reset takes the emulation a minute longer than a new process does.
            "-no-reboot",
            "-kernel", str(self.built / "kernel"), "-initrd", str(self.built / "initrd"),
            "-append", "console=ttyS0 panic=-1 mitigations=off audit=0 loglevel=5 systemd.show_status=0"
            f" sysctl.kernel.hung_task_timeout_secs=0 {self.kernel_arguments}",
            # Of every boot.
            "-chardev", f"file,id=console,path={self.console},append=on", "-serial", "chardev:console",
            "-device", "virtio-rng-pci", "-device", "virtio-serial-pci",
            "-chardev", f"socket,id=agent,path={short}", "-device", "virtserialport,chardev=agent,name=quiesce.test",
        ]
        if self.has_agent_port:
            arguments += [
                "-chardev", f"socket,id=port,path={self.short_path(descriptor, 'port.sock')},server=on,wait=off",
                "-device", "virtserialport,chardev=port,name=org.qemu.guest_agent.0"]
        for name in ["system", *self.extra_disks]:
            arguments += [
                "-drive", f"file={self.disk(name)},format=raw,if=none,id={name},cache=unsafe",
                "-device", f"virtio-blk-pci,drive={name},serial={name}"]
        # It dies with the test: nobody else would end it.
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *arguments], stdin=subprocess.DEVNULL, pass_fds=[descriptor],
            stderr=open(self.directory / "qemu.log", "wb"))
        listener.settimeout(PATIENCE)
        try:
            self._socket, _ = listener.accept()
        except TimeoutError:
            os.close(descriptor)
            raise Failure(f"qemu did not start: {(self.directory / 'qemu.log').read_text()}") from None
        finally:
            listener.close()
        threading.Thread(target=self._receive, args=(self._socket,), daemon=True).start()
        try:
            self._hello.get(timeout=180)
        except queue.Empty:
            raise Failure(f"the machine did not come up: see {self.console}") from None
        finally:
            # QEMU may bind its own socket after it has connected to this one.
            os.close(descriptor)

    @staticmethod
    def short_path(descriptor: int, name: str) -> str:
        return f"/proc/{os.getpid()}/fd/{descriptor}/{name}"

    @property
    def agent_port(self) -> Path:
        return self.directory / "port.sock"

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None
        if self._socket:
            self._socket.close()
            self._socket = None

    def wait_for_power_off(self, timeout: float = 120) -> None:
        """Waits for the end of its process, which a reset is, too (see -no-reboot)."""
        assert self.process
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise Failure(f"the machine did not power off within {timeout} s: see {self.console}") from None
        self.kill()

    def wait_for_reboot(self) -> None:
        """Waits until it has gone down, and come up again."""
        self.wait_for_power_off()
        self.boot()

    # --- Commands ---

    def _receive(self, connection: socket.socket) -> None:
        try:
            for line in connection.makefile("rb"):
                message = json.loads(line)
                if "hello" in message:
                    self._hello.put(message["hello"])
                elif "packet" in message:
                    self.packets.put(base64.b64decode(message["packet"]))
                else:
                    self._pending.pop(message["id"]).put(message)
        except (OSError, ValueError):
            return

    def _ask(self, what: str, request: dict) -> Pending:
        if not self._socket:
            raise Failure(f"the machine does not run: {what}")
        number = next(self._numbers)
        pending = self._pending[number] = Pending(what)
        with self._sending:
            self._socket.sendall(json.dumps(request | {"id": number}).encode() + b"\n")
        return pending

    def start(self, command: str, *, input: str = "", timeout: float = PATIENCE) -> Pending:
        """Starts a command of bash in the guest; it is killed there after so many seconds."""
        return self._ask(command, {"run": command, "input": input, "timeout": timeout})

    def run(self, command: str, *, input: str = "", timeout: float = PATIENCE, check: bool = True) -> str:
        """Runs it, and gives its output without the last newline."""
        done = self.start(command, input=input, timeout=timeout).done(timeout + 10)
        if check and done.status != 0:
            raise Failure(f"exit status {done.status}: {command}\n{done.out}{done.err}")
        return done.out.rstrip("\n")

    def wait_until(self, condition: str, *, timeout: float = PATIENCE) -> None:
        """Waits until a command of the guest succeeds; it is tried there again and again."""
        loop = f"until {{ {condition}; }} >/dev/null 2>&1; do sleep 0.1; done"
        try:
            self.start(loop, timeout=timeout).done(timeout + 10)
        except Failure:
            last = self.start(condition, timeout=20).done(30)
            raise Failure(f"not so after {timeout} s: {condition}\n{last.out}{last.err}") from None

    def put(self, path: str, text: str, mode: str = "644") -> None:
        self.run(f"cat >{path} && chmod {mode} {path}", input=text)

    def copy_in(self, source: Path, target: str) -> None:
        """Puts a file into the guest."""
        text = base64.b64encode(source.read_bytes()).decode()
        self.run(f"base64 -d >{target}", input=text, timeout=120)

    # --- The VSS channel ---

    def ask_host(self, operation: int) -> None:
        """Has the host ask the guest; the answer is to be taken with `host_answer`."""
        self.send_packet(vss_host.request(operation, next(self._transactions)))

    def send_packet(self, packet: bytes) -> None:
        self._ask("a packet", {"packet": base64.b64encode(packet).decode()}).wait()

    def host_packet(self, timeout: float = PATIENCE) -> bytes:
        try:
            return self.packets.get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"the host got no answer within {timeout} s") from None

    def host_answer(self, timeout: float = PATIENCE) -> vss_host.Answer:
        return vss_host.parse(self.host_packet(timeout))

    def perform(self, operation: int, timeout: float = PATIENCE) -> vss_host.Answer:
        self.ask_host(operation)
        return self.host_answer(timeout)

    def expect(self, operation: int, success: bool, timeout: float = PATIENCE) -> vss_host.Answer:
        answer = self.perform(operation, timeout)
        if answer.is_success != success:
            name = {vss_host.HOT_BACKUP: "HOT_BACKUP", vss_host.FREEZE: "FREEZE", vss_host.THAW: "THAW"}[operation]
            log = self.start("journalctl -b -u quiesced -n 30 --no-pager -o cat", timeout=15)
            try:
                text = log.done(20).out
            except Failure:
                text = "(the journal does not answer)"
            raise Failure(f"{name} was answered with {answer.status:#x}\n{text}")
        return answer


def copy_sparse(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)


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
