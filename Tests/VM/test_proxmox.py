"""The port of QEMU's guest agent, with Proxmox VE as its client."""
from __future__ import annotations

import time

from agent_case import AgentGroup
from agent_client import AgentClient
from case import FROZEN, expect, expect_equal
from proxmox import ProxmoxRequest

PINGS = 3000


class Proxmox(AgentGroup):
    """Each command comes in a connection of its own."""

    def request(self, command: str, sends_marker: bool = True) -> ProxmoxRequest:
        return ProxmoxRequest(self.machine.agent_port, f"guest-{command}", sends_marker)

    def reply(self, command: str, sends_marker: bool = True) -> dict:
        with self.request(command, sends_marker) as request:
            return request.reply()

    def ask(self, command: str, sends_marker: bool = True) -> object:
        """The result of the command. An error fails the case."""
        reply = self.reply(command, sends_marker)
        expect("return" in reply, f"{command}: {reply}")
        return reply["return"]

    def back_up(self, sends_marker: bool) -> None:
        """As vzdump does."""
        expect_equal(self.ask("ping", sends_marker), {}, "ping")
        expect_equal(self.ask("fsfreeze-status", sends_marker), "thawed", "the status before")
        expect_equal(self.ask("fsfreeze-freeze", sends_marker), len(FROZEN) + 1, "freeze")
        expect_equal(self.ask("fsfreeze-status", sends_marker), "frozen", "the status while frozen")
        self.expect_frozen(FROZEN)
        expect_equal(self.ask("fsfreeze-thaw", sends_marker), len(FROZEN), "thaw")
        self.expect_thawed(FROZEN)
        self.wait_until_idle()
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("qemu", "succeeded"), "the record")

    def backup(self) -> None:
        self.back_up(True)

    def case_backup(self) -> None:
        """ping, status, freeze, status, thaw, with 0xFF before the sync."""
        self.back_up(True)

    def case_backup_without_marker(self) -> None:
        """The same without 0xFF; also after a client that left half a request."""
        self.back_up(False)
        with AgentClient(self.machine.agent_port) as client:
            client.send(b'{"execute":"guest-fsfreeze-fr')
        # A client counts as gone after 200 ms. Until then the request may go on.
        time.sleep(1)
        self.back_up(False)

    def case_slow_freeze(self) -> None:
        """A freeze of 30 s, which the client gives up: a status queued behind it is `frozen` when it is done."""
        self.configure('[hooks]\ntimeout = "60s"\n')
        self.slow_hook(30)
        for sends_marker in (True, False):
            began = time.monotonic()
            with self.request("fsfreeze-freeze", sends_marker) as request:
                request.give_up(5)
            with self.request("fsfreeze-status", sends_marker) as request:
                expect_equal(request.reply(60), {"return": "frozen"}, "the status behind the freeze")
            took = time.monotonic() - began
            self.say(f"the status was answered {took:.1f} s after the freeze was sent")
            expect(took >= 29, f"the status was answered after {took:.1f} s")
            self.expect_frozen(FROZEN)
            expect_equal(self.ask("fsfreeze-thaw", sends_marker), len(FROZEN), "thaw")
            self.expect_thawed(FROZEN)
            self.wait_until_idle()
        self.remove_hook()
        self.configure_as_shipped()

    def case_thaw_given_up(self) -> None:
        """A thaw that is sent during a freeze, and given up, is carried out."""
        self.slow_hook(6)
        for command in ("fsfreeze-freeze", "fsfreeze-thaw"):
            with self.request(command) as request:
                request.give_up(1)
        self.wait_until_idle()
        self.expect_thawed(FROZEN)
        with self.request("fsfreeze-status") as request:
            expect_equal(request.reply(60), {"return": "thawed"}, "the status")
        self.remove_hook()
        self.backup()

    def case_failed_freeze(self) -> None:
        """A hook fails: the freeze is an error with the reason, and the thaw that is sent even then is 0."""
        self.machine.put("/etc/quiesced/hooks.d/20-fail", "#!/bin/sh\n[ $1 = thaw ] || { echo no; exit 3; }\n", "755")
        for sends_marker in (True, False):
            error = self.reply("fsfreeze-freeze", sends_marker)["error"]
            expect("hook 20-fail exited with status 3: no" in error["desc"], f"the error: {error}")
            expect_equal(self.ask("fsfreeze-status", sends_marker), "thawed", "the status")
            expect_equal(self.ask("fsfreeze-thaw", sends_marker), 0, "the thaw")
            self.expect_thawed(FROZEN)
        self.machine.run("rm /etc/quiesced/hooks.d/20-fail")
        self.backup()

    def case_lost_window(self) -> None:
        """A window that ends early: the status is `thawed`, and the thaw an error, once."""
        self.configure('[freeze]\nmax_window = "11s"\n')
        expect_equal(self.ask("fsfreeze-freeze"), len(FROZEN) + 1, "freeze")
        self.expect_thawed(FROZEN)
        self.wait_until_idle()
        expect_equal(self.ask("fsfreeze-status"), "thawed", "the status")
        error = self.reply("fsfreeze-thaw")["error"]
        expect("freeze.max_window" in error["desc"], f"the error: {error}")
        expect_equal(self.ask("fsfreeze-thaw"), 0, "the thaw after that")
        self.configure_as_shipped()
        self.backup()

    def case_hasty_pings(self) -> None:
        """Three thousand pings, each in a connection: none is lost."""
        began = time.monotonic()
        slowest = 0.0
        for number in range(PINGS):
            asked = time.monotonic()
            with self.request("ping", sends_marker=number % 2 == 0) as request:
                expect_equal(request.reply(20), {"return": {}}, f"ping {number}")
            slowest = max(slowest, time.monotonic() - asked)
        self.say(f"{PINGS} pings in {time.monotonic() - began:.0f} s, the slowest in {slowest:.2f} s")
