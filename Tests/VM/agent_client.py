"""A client of QEMU's guest agent, on the host."""
from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from machine import PATIENCE, Failure


class NoReply(Failure):
    """No line from the guest in time."""


class AgentClient:
    """A connection to the host's end of the port. A context."""

    def __init__(self, path: Path) -> None:
        # The path of the socket may be too long for the kernel.
        directory = os.open(path.parent, os.O_DIRECTORY)
        try:
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(f"/proc/self/fd/{directory}/{path.name}")
        finally:
            os.close(directory)
        self._received = b""

    def __enter__(self) -> AgentClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def request(self, command: str, **arguments: object) -> None:
        """Sends a request, in the notation of libvirt."""
        message: dict[str, object] = {"execute": command}
        if arguments:
            message["arguments"] = arguments
        self.send(json.dumps(message).encode() + b"\n")

    def line(self, timeout: float = PATIENCE) -> bytes:
        """The next line from the guest."""
        self._socket.settimeout(timeout)
        while b"\n" not in self._received:
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                raise NoReply(f"no reply within {timeout} s, but {self._received!r}") from None
            if not data:
                raise Failure("QEMU closed the connection")
            self._received += data
        line, self._received = self._received.split(b"\n", 1)
        return line

    def reply(self, timeout: float = PATIENCE) -> dict:
        return json.loads(self.line(timeout).lstrip(b"\xff"))

    def ask(self, command: str, timeout: float = PATIENCE, **arguments: object) -> object:
        """The result of the command. An error fails the case."""
        self.request(command, **arguments)
        reply = self.reply(timeout)
        if "return" not in reply:
            raise Failure(f"{command}: {reply}")
        return reply["return"]

    def error(self, command: str, timeout: float = PATIENCE, **arguments: object) -> dict:
        """The error of the command. Success fails the case."""
        self.request(command, **arguments)
        reply = self.reply(timeout)
        if "error" not in reply:
            raise Failure(f"{command} succeeded: {reply}")
        return reply["error"]

    def synchronize(self, timeout: float = PATIENCE) -> None:
        """As clients do at the beginning: discards replies to earlier clients."""
        self.send(b"\xff" + b'{"execute":"guest-sync-delimited","arguments":{"id":4711}}')
        while self.line(timeout) != b'\xff{"return": 4711}':
            pass
