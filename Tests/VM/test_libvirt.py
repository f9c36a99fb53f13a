"""The port of QEMU's guest agent, with libvirt as its client."""
from __future__ import annotations

from case import Group, expect, expect_equal
from libvirt import Libvirt as Launcher
from machine import Failure


class Libvirt(Group):
    """quiesced answers libvirt."""

    launcher = Launcher
    has_agent_port = True

    def set_up(self) -> None:
        self.make_filesystems()
        self.machine.wait_until("systemctl is-active qemu-guest-agent.service")
        self.switch()

    def switch(self) -> None:
        """As docs/kvm.md says."""
        self.machine.run(
            "systemctl mask --now qemu-guest-agent.service && systemctl enable --now quiesce-qemu-ga.socket")
        self.wait_for_registration()

    def wait_for_registration(self) -> None:
        self.machine.wait_until(
            "quiescectl status --json | tr -d ' \\n' | grep -E '\"name\":\"qemu\",\"registered\":true'")

    def virsh(self, *arguments):
        return self.machine.launcher.virsh(*arguments)

    def case_ping(self) -> None:
        """guest-ping."""
        expect_equal(self.virsh("qemu-agent-command", "machine", '{"execute":"guest-ping"}'), '{"return":{}}', "the reply")
