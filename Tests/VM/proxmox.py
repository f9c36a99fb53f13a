"""The guest agent's client in Proxmox VE: a connection for each command, over the socket of QEMU's chardev."""
from __future__ import annotations

import itertools
import json
from pathlib import Path

from agent_client import AgentClient, NoReply
from machine import Failure

_numbers = itertools.count(1000)
# How long the client waits for a reply, in seconds.
TIMEOUTS = {"guest-ping": 3, "guest-fsfreeze-status": 5, "guest-fsfreeze-freeze": 600, "guest-fsfreeze-thaw": 180}


class ProxmoxRequest:
    """A request in a connection of its own, which ends with the context. Not every version sends 0xFF first."""

    def __init__(self, port: Path, command: str, sends_marker: bool = True) -> None:
        self.command = command
        self._number = next(_numbers)
        sync = {"arguments": {"id": self._number}, "execute": "guest-sync-delimited"}
        # Perl's order of keys differs from process to process.
        request: dict[str, object] = {"execute": command, "arguments": {}}
        if self._number % 2:
            request = dict(reversed(request.items()))
        self._client = AgentClient(port)
        marker = b"\xff" if sends_marker else b""
        self._client.send(marker + json.dumps(sync).encode() + b"\n" + json.dumps(request).encode() + b"\n")

    def __enter__(self) -> ProxmoxRequest:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.__exit__()

    def reply(self, timeout: float | None = None) -> dict:
        """The line after the reply to the sync, which has to be this client's."""
        timeout = timeout or TIMEOUTS[self.command]
        while not (line := self._client.line(timeout)).startswith(b"\xff"):
            pass
        sync = json.loads(line.lstrip(b"\xff"))
        if sync != {"return": self._number}:
            raise Failure(f"{self.command}: got the reply {sync} to the sync {self._number}")
        return json.loads(self._client.line(timeout))

    def give_up(self, after: float) -> None:
        """Waits so long, for a reply that must not come."""
        try:
            reply = self.reply(after)
        except NoReply:
            return
        raise Failure(f"{self.command} was answered within {after} s: {reply}")
