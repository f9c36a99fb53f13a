"""The guest agent's client in KubeVirt: polls over libvirt, and freezes for snapshots."""
from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import Callable

from machine import PATIENCE, Failure

# What has to be enabled, or the agent counts as unsupported.
REQUIRED = ["guest-ping", "guest-get-time", "guest-info", "guest-shutdown", "guest-network-get-interfaces",
            "guest-get-fsinfo", "guest-get-host-name", "guest-get-users", "guest-get-timezone", "guest-get-osinfo"]


@dataclass(frozen=True)
class Command:
    """A command that is polled every so many seconds, and whether a reply can be its own."""

    period: float
    is_own: Callable[[object], bool]


POLLED = {
    "guest-fsfreeze-status": Command(5, lambda reply: reply in ("frozen", "thawed")),
    "guest-get-users": Command(10, lambda reply: reply == []),
    "guest-network-get-interfaces": Command(10, lambda reply: [each["name"] for each in reply] == ["lo"]),
    "guest-get-osinfo": Command(120, lambda reply: reply["id"] == "debian"),
    "guest-get-host-name": Command(120, lambda reply: reply == {"host-name": "quiesce-vm"}),
    "guest-get-timezone": Command(120, lambda reply: reply["offset"] == 0),
    "guest-info": Command(300, lambda reply: bool(reply["supported_commands"])),
    "guest-get-fsinfo": Command(300, lambda reply: "/" in [each["mountpoint"] for each in reply]),
}


class Poller:
    """Polls until the end of the context, in a thread for each command. `ask` gives a reply, or raises Failure."""

    def __init__(self, ask: Callable[[str], object]) -> None:
        self._ask = ask
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._poll, args=(name,)) for name in POLLED]
        # By command: replies, with the time of the request and of the reply.
        self.replies: dict[str, list[tuple[float, float, object]]] = {name: [] for name in POLLED}
        self.errors: list[tuple[float, float, str]] = []

    def __enter__(self) -> Poller:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()

    def wait_for_replies(self) -> None:
        """Waits for the first reply to each command. Some commands are polled once in five minutes."""
        deadline = time.monotonic() + PATIENCE
        while not all(self.replies.values()):
            if time.monotonic() > deadline:
                raise Failure(f"no reply to {[name for name, replies in self.replies.items() if not replies]}")
            time.sleep(0.1)

    def _poll(self, name: str) -> None:
        while True:
            began = time.monotonic()
            try:
                reply = self._ask(name)
                self.replies[name].append((began, time.monotonic(), reply))
            except Failure as failure:
                self.errors.append((began, time.monotonic(), f"{name}: {failure}"))
            if self._end.wait(POLLED[name].period):
                return

    def strange_replies(self) -> list[str]:
        """Replies that are not those of their command."""
        return [f"{name}: {reply}" for name, replies in self.replies.items() for _, _, reply in replies
                if not self._is_own(name, reply)]

    @staticmethod
    def _is_own(name: str, reply: object) -> bool:
        try:
            return POLLED[name].is_own(reply)
        except (KeyError, TypeError):
            return False
