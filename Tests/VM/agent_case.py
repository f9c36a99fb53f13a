"""What the cases of the guest agent's port share."""
from __future__ import annotations

from case import Group

SLOW_HOOK = "/etc/quiesced/hooks.d/10-slow"


class AgentGroup(Group):
    """quiesced answers at the port."""

    has_agent_port = True

    def set_up(self) -> None:
        self.make_filesystems()
        self.wait_for_registration()

    def wait_for_registration(self, registered: bool = True) -> None:
        self.machine.wait_until(
            "quiescectl status --json | tr -d ' \\n'"
            f" | grep -E '\"name\":\"qemu\",\"registered\":{str(registered).lower()}'")

    # --- Hooks ---

    def slow_hook(self, seconds: int) -> None:
        """Has each freeze wait for a hook."""
        self.machine.put(SLOW_HOOK, f"#!/bin/sh\n[ $1 = thaw ] || sleep {seconds}\n", "755")

    def wait_for_hook(self) -> None:
        self.machine.wait_until("quiescectl status --json | grep -q '\"hook\"'")

    def remove_hook(self) -> None:
        self.machine.run(f"rm {SLOW_HOOK}")
