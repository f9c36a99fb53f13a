"""Those who freeze, each asked as its host asks it.

Each has `name`, `freeze()` and `thaw()`, which give how long they took, in milliseconds, and `end()`.
"""

import json
import os
import pathlib
import select
import socket
import struct
import subprocess
import time
import tty

from scratch import PROGRAMS, Lines, run

FREEZE, THAW, REGISTER = 5, 6, 129
MESSAGE = struct.Struct("<B7xI")


def wait_until(condition, seconds=20):
    """Asks again until it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError("it does not get ready")
        time.sleep(0.01)


class HyperVHost:
    """Plays the kernel's driver on a pty."""

    def __init__(self, path):
        self.host, self.guest = os.openpty()
        tty.setraw(self.guest)
        path = pathlib.Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(os.ttyname(self.guest))

    def read(self):
        """A whole message."""
        message = b""
        while len(message) < MESSAGE.size:
            if not select.select([self.host], [], [], 60)[0]:
                raise RuntimeError("no answer")
            message += os.read(self.host, MESSAGE.size - len(message))
        return message

    def take_registration(self):
        """The daemon says that it is there, and is told the version."""
        operation, _ = MESSAGE.unpack(self.read())
        if operation != REGISTER:
            raise RuntimeError(f"operation {operation}")
        os.write(self.host, struct.pack("<I", 129))
        # A pty does not keep messages apart: the daemon has to have read it before the next one.
        time.sleep(0.3)

    def ask(self, operation):
        """One operation; how long it took."""
        begun = time.monotonic()
        os.write(self.host, MESSAGE.pack(operation, 0))
        answer = self.read()
        took = (time.monotonic() - begun) * 1000
        if status := struct.unpack_from("<I", answer)[0]:
            raise RuntimeError(f"operation {operation} is answered with {status:#x}")
        return took

    def end(self):
        """Closes it."""
        os.close(self.host)
        os.close(self.guest)


class HyperVAgent:
    """A daemon on such a host."""

    def __init__(self, device, *command):
        self.host = HyperVHost(device)
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.host.take_registration()

    def freeze(self):
        """FREEZE."""
        return self.host.ask(FREEZE)

    def thaw(self):
        """THAW."""
        return self.host.ask(THAW)

    def end(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait(30)
        self.host.end()


def configure(path, text):
    """Writes a configuration of quiesced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def ask_quiesce(configuration, *arguments):
    """The answer of quiescectl."""
    return run("/quiesce/bin/quiescectl", *arguments, "--json", "--config", configuration)


class QuiesceRequests:
    """The part of quiesce's agents that is the same for each host. `configuration` is the daemon's file."""

    def thaw(self):
        """The next FREEZE would wait for the end of the request."""
        took = super().thaw()
        wait_until(lambda: '"idle"' in ask_quiesce(self.configuration, "status"))
        return took

    def window(self):
        """From the first FIFREEZE to the answer, of the last request, in milliseconds."""
        record = json.loads(ask_quiesce(self.configuration, "show"))
        return record["freeze_answer"]["offset_ms"] - record["window"]["offset_ms"]


class Quiesce(QuiesceRequests, HyperVAgent):
    """quiesce as installed, without hooks."""

    name = "quiesce"
    configuration = pathlib.Path("/etc/quiesced/quiesced.toml")

    def __init__(self, _filesystems, namespaces="all"):
        configure(self.configuration,
                  '[hyperv]\nenabled = true\ndevice = "/run/bench-hyperv"\n'
                  f'[filesystems]\nmount_namespaces = "{namespaces}"\n')
        super().__init__("/run/bench-hyperv", "/quiesce/bin/quiesced")


class StockHyperVDaemon(HyperVAgent):
    """Debian's hv_vss_daemon. The path of its device is written into it."""

    name = "hv_vss_daemon"

    def __init__(self, _filesystems):
        super().__init__("/dev/vmbus/hv_vss", "hv_vss_daemon", "-n")


class GuestAgentClient:
    """Speaks the protocol of QEMU's guest agent."""

    def __init__(self, reader, write):
        self.reader = reader
        self.write = write

    def ask(self, command, **arguments):
        """A command; how long it took, in milliseconds."""
        begun = time.monotonic()
        request = {"execute": command, **({"arguments": arguments} if arguments else {})}
        self.write(json.dumps(request).encode() + b"\n")
        answer = json.loads(self.reader.readline())
        if "error" in answer:
            raise RuntimeError(f"{command}: {answer}")
        return (time.monotonic() - begun) * 1000

    def freeze(self):
        """Freeze."""
        return self.ask("guest-fsfreeze-freeze")

    def thaw(self):
        """Thaw."""
        return self.ask("guest-fsfreeze-thaw")


class QEMUAgent(GuestAgentClient):
    """Debian's qemu-ga, on a socket in place of the virtio port."""

    name = "qemu-ga"

    def __init__(self, _filesystems):
        path = pathlib.Path("/run/bench-qemu-ga")
        path.mkdir(exist_ok=True)
        address = path / "socket"
        address.unlink(missing_ok=True)
        self.process = subprocess.Popen(["qemu-ga", "-m", "unix-listen", "-p", str(address), "-t", str(path)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(address.exists)
        self.connection = socket.socket(socket.AF_UNIX)
        self.connection.connect(str(address))
        super().__init__(self.connection.makefile("rb"), self.connection.sendall)

    def end(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait(30)
        self.connection.close()


class RelayedQEMUAgent:
    """Debian's qemu-ga behind quiesced, started for a socket as in quiesce-qemu-ga.service."""

    address = pathlib.Path("/run/quiesce-qemu-ga.sock")
    # sd_listen_fds(3)
    script = ('exec 3<&"$1"; export LISTEN_PID=$$ LISTEN_FDS=1; '
              'exec qemu-ga --statedir=/run/quiesce-qemu-ga --block-rpcs="$2"')
    blocked = ",".join(f"guest-fsfreeze-{name}" for name in ("status", "freeze", "freeze-list", "thaw"))

    def __init__(self):
        pathlib.Path("/run/quiesce-qemu-ga").mkdir(exist_ok=True)
        self.address.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.address))
            listener.listen()
            self.process = subprocess.Popen(["sh", "-c", self.script, "sh", str(listener.fileno()), self.blocked],
                                            pass_fds=[listener.fileno()], stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def end(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait(30)
        self.address.unlink()


class QuiesceAtAgentPort(QuiesceRequests, GuestAgentClient):
    """quiesce at the guest agent port, a pty, with qemu-ga behind it. A daemon of its own, with its own directories."""

    name = "quiesce, agent port"
    configuration = pathlib.Path("/etc/quiesced-agent/quiesced.toml")

    def __init__(self, _filesystems):
        configure(self.configuration,
                  '[hyperv]\nenabled = false\n[qemu]\nenabled = true\ndevice = "/run/bench-agent-port"\n'
                  '[paths]\nrun = "/run/quiesced-agent"\nstate = "/var/lib/quiesced-agent"\n')
        self.relayed = RelayedQEMUAgent()
        self.host, self.guest = os.openpty()
        tty.setraw(self.guest)
        port = pathlib.Path("/run/bench-agent-port")
        port.unlink(missing_ok=True)
        port.symlink_to(os.ttyname(self.guest))
        super().__init__(open(self.host, "rb", closefd=False), lambda line: os.write(self.host, line))
        self.process = subprocess.Popen(["/quiesce/bin/quiesced", "--config", str(self.configuration)],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.ask("guest-sync", id=4711)
        # The connection to qemu-ga stays.
        self.ask("guest-get-osinfo")

    def end(self):
        """Ends both."""
        self.process.terminate()
        self.process.wait(30)
        self.relayed.end()
        self.reader.close()
        os.close(self.host)
        os.close(self.guest)


class LowerBound:
    """The C program, with everything open."""

    name = "lower bound"
    options = ()

    def __init__(self, filesystems):
        # The root holds the files of loop devices.
        level = ["-"] if filesystems[0].backing == "loop" else []
        self.program = Lines(PROGRAMS / "lower-bound", *self.options, *(filesystem.path for filesystem in filesystems), *level, "/")
        self.last_window = 0.0
        self.freeze_window = 0.0

    def _ask(self, order):
        self.program.send(order)
        took, window = (int(word) / 1e6 for word in self.program.expect().split())
        self.last_window = window
        return took

    def freeze(self):
        """Freeze."""
        return self._ask("freeze")

    def window(self):
        """From the first FIFREEZE to the answer, of the last freeze."""
        return self.freeze_window

    def thaw(self):
        """Thaw."""
        self.freeze_window = self.last_window
        return self._ask("thaw")

    def end(self):
        """Ends it."""
        self.program.end()


class ExpeditedLowerBound(LowerBound):
    """The same, and the kernel hurries."""

    name = "lower bound, expedited"
    options = ("--expedited",)
