"""One virtual machine: its disks, its process, commands in it, and the host's ends of its channels."""
from __future__ import annotations

import base64
import itertools
import json
import os
import queue
import socket
import subprocess
import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Iterator

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


class Launcher(ABC):
    """Starts and ends the QEMU of a machine."""

    def __init__(self) -> None:
        # QEMU, or the process that runs it.
        self._process: subprocess.Popen | None = None

    @abstractmethod
    def start(self, machine: Machine, directory: str) -> None:
        """Starts QEMU, which connects to the socket `agent.sock` in the machine's directory, here by a short name."""

    def kill(self) -> None:
        """Ends QEMU, if QEMU runs. QEMU ends with this process, too."""
        if self._process:
            self._process.kill()
            self._process.wait()
            self._process = None

    @abstractmethod
    def log(self, machine: Machine) -> str:
        """The messages of QEMU's start."""


@dataclass
class Machine:
    """Boots from a copy of a disk."""

    directory: Path
    # Where the kernel and the initrd are.
    built: Path
    system: Path
    launcher: Launcher
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
        self._socket: socket.socket | None = None
        self._sending = threading.Lock()
        self._pending: dict[int, Pending] = {}
        self._numbers = itertools.count(1)
        self._transactions = itertools.cycle(range(1, 255))
        # By the service's name.
        self.packets: defaultdict[str, queue.SimpleQueue] = defaultdict(queue.SimpleQueue)
        copy_sparse(self.system, self.disk("system"))
        for name, size in self.extra_disks.items():
            with open(self.disk(name), "wb") as file:
                file.truncate(size << 20)

    @property
    def disks(self) -> list[str]:
        return ["system", *self.extra_disks]

    def disk(self, name: str) -> Path:
        return self.directory / f"{name}.disk"

    # --- Life ---

    def boot(self) -> None:
        """Starts it, and waits until it takes commands."""
        listener = socket.socket(socket.AF_UNIX)
        path = self.directory / "agent.sock"
        path.unlink(missing_ok=True)
        hello: queue.SimpleQueue = queue.SimpleQueue()
        # QEMU uses the directory's name until it has started.
        with short_path(self.directory) as directory, listener:
            listener.bind(f"{directory}/{path.name}")
            listener.listen()
            self.launcher.start(self, directory)
            listener.settimeout(PATIENCE)
            try:
                self._socket, _ = listener.accept()
                self._receiver = threading.Thread(target=self._receive, args=(self._socket, hello), daemon=True)
                self._receiver.start()
                if not hello.get(timeout=180):
                    raise Failure(f"qemu ended: {self.launcher.log(self)}")
            except TimeoutError:
                raise Failure(f"qemu did not start: {self.launcher.log(self)}") from None
            except queue.Empty:
                raise Failure(f"the machine did not come up: see {self.console}") from None

    @property
    def kernel_command_line(self) -> str:
        return ("console=ttyS0 panic=-1 mitigations=off audit=0 loglevel=5 systemd.show_status=0"
                f" sysctl.kernel.hung_task_timeout_secs=0 {self.kernel_arguments}")

    @property
    def agent_port(self) -> Path:
        return self.directory / "port.sock"

    def kill(self) -> None:
        self.launcher.kill()
        if self._socket:
            self._socket.close()
            self._socket = None

    def wait_for_power_off(self, timeout: float = 120) -> None:
        """Waits until QEMU has ended, at a power-off or at a reset."""
        self._receiver.join(timeout)
        if self._receiver.is_alive():
            raise Failure(f"the machine did not power off within {timeout} s: see {self.console}")
        self.kill()

    def wait_for_reboot(self) -> None:
        """Waits until it has gone down, and come up again."""
        self.wait_for_power_off()
        self.boot()

    # --- Commands ---

    def _receive(self, connection: socket.socket, hello: queue.SimpleQueue) -> None:
        try:
            for line in connection.makefile("rb"):
                message = json.loads(line)
                if "hello" in message:
                    hello.put(message["hello"])
                elif "packet" in message:
                    self.packets[message["service"]].put(base64.b64decode(message["packet"]))
                else:
                    self._pending.pop(message["id"]).put(message)
        except (OSError, ValueError):
            return
        finally:
            hello.put("")

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

    # --- The channels of the integration services ---

    def send_packet(self, packet: bytes, service: str = "vss") -> None:
        self._ask("a packet", {"packet": base64.b64encode(packet).decode(), "service": service}).wait()

    def host_packet(self, timeout: float = PATIENCE, service: str = "vss") -> bytes:
        try:
            return self.packets[service].get(timeout=timeout)
        except queue.Empty:
            raise Failure(f"the host got no answer of {service} within {timeout} s") from None

    def offer(self, service: str) -> None:
        """The host offers the service; the driver binds to it when udev has seen it."""
        self.run(f"echo 1 >/sys/class/misc/{service}_host/offered")

    def rescind(self, service: str, timeout: float = PATIENCE) -> None:
        """The host switches the service off. Waits until the driver has let go of it."""
        self.run(f"echo 0 >/sys/class/misc/{service}_host/offered", timeout=timeout)

    # --- VSS ---

    def ask_host(self, operation: int) -> None:
        """Has the host ask the guest; the answer is to be taken with `host_answer`."""
        self.send_packet(vss_host.request(operation, next(self._transactions)))

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


@contextmanager
def short_path(directory: Path) -> Iterator[str]:
    """A short name of the directory: the path of a socket below the full name may be too long for the kernel."""
    descriptor = os.open(directory, os.O_DIRECTORY)
    try:
        yield f"/proc/{os.getpid()}/fd/{descriptor}"
    finally:
        os.close(descriptor)


def copy_sparse(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--sparse=always", "--reflink=auto", source, target], check=True)
