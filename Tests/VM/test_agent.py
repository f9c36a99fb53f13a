"""The port of QEMU's guest agent, with the real kernel and the real QEMU."""
from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from agent_case import AgentGroup
from agent_client import AgentClient
from case import expect, expect_equal

FILESYSTEMS = ["/", "/srv/xfs"]


class Agent(AgentGroup):
    """The packages, boots, and a client of a test's own."""

    disks = {"xfs": 400}

    def set_up(self) -> None:
        self.machine.run(
            "mkfs.xfs -q /dev/disk/by-id/virtio-xfs && mkdir -p /srv/xfs && mount /dev/disk/by-id/virtio-xfs /srv/xfs")
        self.wait_for_registration()

    def client(self) -> AgentClient:
        client = AgentClient(self.machine.agent_port)
        client.synchronize()
        return client

    def freeze(self, success: bool = True) -> None:
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-freeze"), len(FILESYSTEMS), "the number of frozen filesystems")

    def backup(self) -> None:
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-freeze"), len(FILESYSTEMS), "the number of frozen filesystems")
            self.expect_frozen(FILESYSTEMS)
            expect_equal(client.ask("guest-fsfreeze-status"), "frozen", "the status")
            expect_equal(client.ask("guest-fsfreeze-thaw"), len(FILESYSTEMS), "the number of thawed filesystems")
            expect_equal(client.ask("guest-fsfreeze-status"), "thawed", "the status")
        self.expect_thawed(FILESYSTEMS)
        self.wait_until_idle()

    def expect_lost(self) -> None:
        """The next thaw is an error, once."""
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-status"), "thawed", "the status")
            expect_equal(client.error("guest-fsfreeze-thaw")["class"], "GenericError", "the thaw of a lost window")
            expect_equal(client.ask("guest-fsfreeze-thaw"), 0, "the thaw after that")

    # --- Clients ---

    def case_backup(self) -> None:
        """A backup with the commands of libvirt: freeze, status, thaw."""
        self.backup()
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("qemu", "succeeded"), "the record")

    def case_refusals(self) -> None:
        """A second freeze and commands of qemu-ga are refused while frozen, as by qemu-ga."""
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-thaw"), 0, "a thaw of nothing")
            error = client.error("guest-fsfreeze-freeze-list", mountpoints=["/srv/none"])
            expect("/srv/none" in error["desc"], f"the error is {error}")
            expect_equal(client.ask("guest-fsfreeze-freeze-list", mountpoints=["/srv/xfs"]), 1, "one filesystem")
            self.expect_frozen(["/srv/xfs"])
            self.expect_thawed(["/"])
            for command in ("guest-fsfreeze-freeze", "guest-exec", "guest-shutdown"):
                expect_equal(client.error(command)["class"], "CommandNotFound", command)
            names = {each["name"]: each["enabled"] for each in client.ask("guest-info")["supported_commands"]}
            expect_equal(names["guest-fsfreeze-freeze"], False, "whether freeze is enabled while frozen")
            expect_equal(client.ask("guest-fsfreeze-thaw"), 1, "the number of thawed filesystems")
        self.wait_until_idle()

    def case_connection_for_each_command(self) -> None:
        """Proxmox VE: a connection for each command. The end of a connection is no thaw."""
        self.freeze()
        self.expect_frozen(FILESYSTEMS)
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-status"), "frozen", "the status")
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-thaw"), len(FILESYSTEMS), "the number of thawed filesystems")
        self.wait_until_idle()

    def case_status_waits_for_freeze(self) -> None:
        """A status of another connection is answered when the freeze is done; the first client has gone."""
        self.slow_hook(5)
        with self.client() as client:
            client.request("guest-fsfreeze-freeze")
            self.wait_for_hook()
        with AgentClient(self.machine.agent_port) as client:
            client.send(b'\xff{"execute":"guest-sync-delimited","arguments":{"id":5}}{"execute":"guest-fsfreeze-status"}')
            while client.line() != b'\xff{"return": 5}':
                pass
            expect_equal(client.reply(), {"return": "frozen"}, "the status")
            expect_equal(client.ask("guest-fsfreeze-thaw"), len(FILESYSTEMS), "the number of thawed filesystems")
        self.remove_hook()
        self.wait_until_idle()

    def case_hasty_clients(self) -> None:
        """A thousand connections with a request at once: none is lost."""
        for number in range(1000):
            with AgentClient(self.machine.agent_port) as client:
                client.send(b'{"execute":"guest-sync","arguments":{"id":%d}}{"execute":"guest-ping"}' % number)
                while client.reply(20) != {"return": number}:
                    pass
                expect_equal(client.reply(20), {"return": {}}, f"reply {number}")

    def case_many_backups(self) -> None:
        """A hundred backups in sequence: no request and no reply is lost."""
        for _ in range(100):
            with self.client() as client:
                for command in ("guest-ping", "guest-fsfreeze-freeze", "guest-fsfreeze-status", "guest-fsfreeze-thaw"):
                    client.ask(command, timeout=20)
        self.wait_until_idle()

    # --- qemu-ga ---

    def case_relay(self) -> None:
        """Commands of qemu-ga are relayed; not while frozen; and not found without qemu-ga."""
        with self.client() as client:
            expect_equal(client.ask("guest-get-osinfo")["id"], "debian", "the system")
            names = [each["name"] for each in client.ask("guest-info")["supported_commands"]]
            expect("guest-get-fsinfo" in names and names.count("guest-fsfreeze-freeze") == 1, f"the commands: {names}")
            expect("/srv/xfs" in str(client.ask("guest-get-fsinfo", timeout=20)), "the filesystems")
            process = client.ask("guest-exec", path="/bin/echo", arg=["hello"], **{"capture-output": True})["pid"]
            while not (status := client.ask("guest-exec-status", pid=process))["exited"]:
                pass
            expect_equal(status["out-data"], "aGVsbG8K", "the output of echo")
            client.ask("guest-fsfreeze-freeze")
            expect_equal(client.error("guest-get-osinfo")["class"], "CommandNotFound", "while frozen")
            client.ask("guest-fsfreeze-thaw")
            self.wait_until_idle()
            self.machine.run("systemctl stop quiesce-qemu-ga.socket quiesce-qemu-ga.service")
            expect_equal(client.error("guest-get-osinfo")["class"], "CommandNotFound", "without qemu-ga")
            self.machine.run("systemctl start quiesce-qemu-ga.socket")
            expect_equal(client.ask("guest-get-osinfo")["id"], "debian", "the system")

    def case_services(self) -> None:
        """The services of a KVM host: quiesced at the port, the devices of the machine, and what the host has not given."""
        def services(status: int) -> dict[str, dict]:
            done = self.machine.start("quiescectl services --json").done()
            expect_equal(done.status, status, f"the status, for {done.out}{done.err}")
            document = json.loads(done.out)
            expect_equal((document["host"], document["socket"]), ("kvm", None), "the host")
            return {each["id"]: each for each in document["services"]}
        found = services(0)
        port = found["guest_agent_port"]
        expect_equal(
            (port["state"], port["device"], port["process"]["command"], port["process"]["unit"]),
            ("working", "/dev/virtio-ports/org.qemu.guest_agent.0", "quiesced", "quiesced.service"), "the port")
        expect_equal((found["rng"]["state"], found["rng"]["driver"]), ("working", "virtio_rng"), "random numbers")
        expect_equal([found[name]["state"] for name in ("vsock", "balloon")], ["off", "off"], "missing devices")
        source = self.machine.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
        expect(source in found["clock"]["statement"], f"the clock: {found['clock']}")
        self.machine.run("systemctl stop quiesced")
        port = services(1)["guest_agent_port"]
        expect_equal((port["state"], port["process"]), ("idle", None), "the port without quiesced")
        expect("systemctl enable --now quiesced.service" in port["next_step"], port["next_step"])
        self.machine.run("systemctl start quiesced")
        self.wait_for_registration()

    def case_blocked_commands(self) -> None:
        """What an admin has blocked in the stock unit stays blocked, and arguments that cannot be used start nothing."""
        self.put_stock_arguments("--block-rpcs=guest-exec -d")
        self.machine.put("/etc/qemu/qemu-ga.conf", "[general]\ndaemon = true\nblock-rpcs=guest-get-users\n")
        self.machine.run("systemctl restart quiesce-qemu-ga.service")
        with self.client() as client:
            expect_equal(client.ask("guest-get-osinfo", timeout=20)["id"], "debian", "the system")
            expect_equal(client.error("guest-exec", path="/bin/true")["class"], "CommandNotFound", "a blocked command")
            expect_equal(client.error("guest-get-users")["class"], "CommandNotFound", "a command blocked in the settings")
            arguments = self.machine.run("tr '\\0' ' ' </proc/$(pidof qemu-ga)/cmdline")
            expect("guest-fsfreeze-freeze" in arguments and "-d" not in arguments.split(), f"the arguments: {arguments}")
        cursor = self.journal_cursor()
        self.put_stock_arguments("$ARGUMENTS")
        self.machine.run("systemctl restart quiesce-qemu-ga.service", check=False)
        with self.client() as client:
            client.error("guest-exec", path="/bin/true", timeout=20)
        expect("has a quoted argument, a variable" in self.journal(cursor, "quiesce-qemu-ga"), "the journal has the cause")
        expect_equal(self.machine.run("pidof qemu-ga || true"), "", "the processes of qemu-ga")
        self.backup()
        self.machine.run("rm -r /etc/systemd/system/qemu-guest-agent.service.d /etc/qemu/qemu-ga.conf")
        self.machine.run("systemctl daemon-reload; systemctl reset-failed; systemctl restart quiesce-qemu-ga.socket")
        self.expect_quiesced()

    def put_stock_arguments(self, arguments: str) -> None:
        self.machine.run("mkdir -p /etc/systemd/system/qemu-guest-agent.service.d")
        self.machine.put("/etc/systemd/system/qemu-guest-agent.service.d/arguments.conf",
                         f"[Service]\nExecStart=\nExecStart=-/usr/sbin/qemu-ga {arguments}\n")
        self.machine.run("systemctl daemon-reload")

    def case_kill_relayed(self) -> None:
        """Five SIGKILLs of qemu-ga: later commands work, and so does freezing."""
        with self.client() as client:
            for _ in range(5):
                client.ask("guest-get-osinfo", timeout=20)
                self.machine.run("kill -KILL $(pidof qemu-ga)")
                expect_equal(client.ask("guest-ping"), {}, "a ping")
                self.machine.wait_until("pidof qemu-ga || systemctl is-active quiesce-qemu-ga.socket")
            self.machine.wait_until("pidof qemu-ga")
        self.backup()

    def case_hanging_command(self) -> None:
        """A hanging command delays a freeze by the deadline at most, and the late reply is dropped."""
        with self.client() as client:
            client.ask("guest-get-osinfo", timeout=20)
            self.machine.run("kill -STOP $(pidof qemu-ga)")
            began = time.monotonic()
            client.request("guest-get-fsinfo")
            client.request("guest-fsfreeze-freeze")
            expect("did not finish" in client.reply()["error"]["desc"], "the hanging command")
            expect_equal(client.reply(), {"return": len(FILESYSTEMS)}, "the freeze")
            took = time.monotonic() - began
            expect(8 <= took < 30, f"the freeze took {took:.1f} s")
            self.say(f"a freeze behind a hanging command took {took:.1f} s")
            client.ask("guest-fsfreeze-thaw")
            self.wait_until_idle()
            expect("has not finished" in client.error("guest-get-osinfo")["desc"], "while the command hangs")
            self.machine.run("kill -CONT $(pidof qemu-ga)")
            while "error" in (reply := self.ask(client, "guest-get-osinfo")):
                expect("has not finished" in reply["error"]["desc"], f"the reply is {reply}")
            expect_equal(reply["return"]["id"], "debian", "the system")

    @staticmethod
    def ask(client: AgentClient, command: str) -> dict:
        client.request(command)
        return client.reply()

    # --- The end of a window ---

    def case_window_ends_early(self) -> None:
        """max_window: the next thaw is an error, also after a restart of the service."""
        self.configure("[freeze]\nmax_window = \"11s\"\n")
        for restarts in (False, True):
            self.freeze()
            self.expect_frozen(["/"])
            self.expect_thawed(FILESYSTEMS, within=30)
            self.wait_until_idle()
            if restarts:
                self.machine.run("systemctl restart quiesced")
                self.wait_for_registration()
            self.expect_lost()
        self.configure_as_shipped()
        self.backup()

    def case_kill_daemon(self) -> None:
        """SIGKILL of the daemon, and of daemon and freezer, in the window: thawed, and the next thaw is an error."""
        for programs in ("quiesced", "quiesced quiesce-freezer"):
            self.freeze()
            self.expect_frozen(["/"])
            self.machine.run(f"set -- $(pidof {programs}); kill -STOP $*; kill -KILL $*")
            self.expect_thawed(FILESYSTEMS)
            self.wait_for_registration()
            self.expect_lost()
            self.backup()

    def case_kill_during_freeze(self) -> None:
        """SIGKILL during a freeze: the next instance replies with an error, on the same connection."""
        self.slow_hook(20)
        with self.client() as client:
            client.request("guest-fsfreeze-freeze")
            self.wait_for_hook()
            self.remove_hook()
            self.machine.run("kill -KILL $(pidof quiesced)")
            reply = client.reply()
            expect("quiesced ended before" in reply.get("error", {}).get("desc", ""), f"the reply is {reply}")
            expect_equal(client.ask("guest-ping"), {}, "the next command of the same client")
        self.wait_for_registration()
        self.wait_until_idle()
        self.backup()

    def case_restart(self) -> None:
        """A restart between backups: the client stays connected, without a lost reply."""
        cursor = self.journal_cursor()
        with self.client() as client:
            self.machine.run("systemctl restart quiesced")
            expect_equal(client.ask("guest-ping"), {}, "a ping after the restart")
            expect("Cannot store" not in self.journal(cursor), "systemd kept no second port")
            self.machine.run("systemctl stop quiesced")
            # The end of a service closes what systemd has kept for the service.
            self.machine.wait_until("! fuser -s /dev/virtio-ports/org.qemu.guest_agent.0")
            self.machine.run("systemctl start quiesced")
            self.wait_for_registration()
            client.synchronize()
        self.backup()

    # --- Packages and boots ---

    def expect_stock_agent(self) -> None:
        """The stock agent answers, with every command."""
        self.machine.wait_until("systemctl is-active qemu-guest-agent.service")
        with self.client() as client:
            expect_equal(client.ask("guest-get-osinfo")["id"], "debian", "the system, by the stock agent")
            names = [each["name"] for each in client.ask("guest-info")["supported_commands"]]
            expect_equal(names.count("guest-fsfreeze-freeze"), 1, "the stock agent's commands")

    def expect_quiesced(self) -> None:
        """quiesced has the port, qemu-ga is behind the socket, and no unit has failed."""
        self.wait_for_registration()
        self.machine.wait_until("systemctl is-active quiesce-qemu-ga.socket")
        with self.client() as client:
            expect_equal(client.ask("guest-get-osinfo", timeout=20)["id"], "debian", "the system, by the relay")
        self.machine.run("! systemctl is-active qemu-guest-agent.service")
        expect_equal(self.machine.run("systemctl --failed --quiet --plain --no-legend"), "", "failed units")
        self.backup()

    def case_reboot(self) -> None:
        """A boot with both packages: quiesced has the port, without any command of an admin."""
        self.expect_quiesced()
        self.machine.start("systemctl reboot")
        self.machine.wait_for_reboot()
        self.machine.run("mount /dev/disk/by-id/virtio-xfs /srv/xfs")
        self.expect_quiesced()

    def case_remove_and_install(self) -> None:
        """The removal of the package starts the stock agent, and the installation stops it."""
        self.machine.run("dpkg --remove quiesce", timeout=120)
        self.expect_stock_agent()
        self.install()
        self.expect_quiesced()

    def case_install_during_a_freeze(self) -> None:
        """The installation waits for the end of a freeze of the stock agent, and leaves nothing frozen."""
        self.machine.run("dpkg --remove quiesce", timeout=120)
        self.expect_stock_agent()
        self.machine.copy_in(self.package, "/run/quiesce.deb")
        with self.client() as client:
            expect_equal(client.ask("guest-fsfreeze-freeze-list", mountpoints=["/srv/xfs"]), 1, "one filesystem")
            installing = self.machine.start("dpkg --install /run/quiesce.deb", timeout=120)
            self.machine.wait_until("pgrep --full '[q]uiesce.postinst configure'")
            self.expect_frozen(["/srv/xfs"])
            expect_equal(client.ask("guest-fsfreeze-thaw"), 1, "the number of thawed filesystems")
        expect_equal(installing.done(130).status, 0, "the status of dpkg")
        self.machine.run("rm /run/quiesce.deb")
        self.expect_thawed(FILESYSTEMS)
        self.expect_quiesced()

    def case_stock_package(self) -> None:
        """qemu-guest-agent is upgraded, removed and installed beside quiesced."""
        with tempfile.TemporaryDirectory() as directory:
            subprocess.run(["apt-get", "--quiet=2", "download", "qemu-guest-agent"], cwd=directory, check=True,
                           env=os.environ | {"APT_CONFIG": str(self.apt_configuration)})
            self.machine.copy_in(next(Path(directory).glob("*.deb")), "/run/qemu-guest-agent.deb")
        with self.client() as client:
            client.ask("guest-get-osinfo", timeout=20)
            before = self.machine.run("pidof qemu-ga")
            self.machine.run("dpkg --install /run/qemu-guest-agent.deb", timeout=120)
            self.machine.wait_until(f"[ \"$(pidof qemu-ga)\" != {before} ]")
            expect_equal(client.ask("guest-get-osinfo", timeout=20)["id"], "debian", "the system, after the upgrade")
            self.machine.run("dpkg --remove qemu-guest-agent", timeout=120)
            began = time.monotonic()
            expect_equal(client.error("guest-get-osinfo")["class"], "CommandNotFound", "without the package")
            expect(time.monotonic() - began < 5, "the error came late")
            names = [each["name"] for each in client.ask("guest-info")["supported_commands"]]
            expect_equal(len(names), 8, "the number of commands without the package")
        self.backup()
        self.machine.run("dpkg --install /run/qemu-guest-agent.deb && rm /run/qemu-guest-agent.deb", timeout=120)
        self.expect_quiesced()

    def case_back_and_forth(self) -> None:
        """The commands of docs/kvm.md that restore the stock agent, and those that undo them."""
        self.put_configuration("[qemu]\nenabled = false\n")
        self.machine.run("""
            systemctl restart quiesced.service
            systemctl stop quiesce-qemu-ga.socket quiesce-qemu-ga.service
            systemctl mask quiesce-qemu-ga.socket
            mkdir -p /etc/systemd/system/qemu-guest-agent.service.d
            ln -s /dev/null /etc/systemd/system/qemu-guest-agent.service.d/quiesce.conf
            systemctl daemon-reload
            systemctl start qemu-guest-agent.service""")
        self.expect_stock_agent()
        # An upgrade leaves the stock agent alone.
        before = self.machine.run("pidof qemu-ga")
        self.machine.copy_in(self.package, "/run/quiesce.deb")
        self.machine.run("dpkg --force-confold --install /run/quiesce.deb && rm /run/quiesce.deb", timeout=120)
        expect_equal(self.machine.run("pidof qemu-ga"), before, "the process of the stock agent")
        # With `auto`, a restart of the stock agent finds the port free.
        self.machine.run("cp --archive /run/quiesced.toml.shipped /etc/quiesced/quiesced.toml")
        cursor = self.journal_cursor()
        self.machine.run("systemctl stop qemu-guest-agent && systemctl restart quiesced")
        self.wait_for_journal(cursor, "left to qemu-ga")
        self.machine.run("systemctl start qemu-guest-agent")
        self.expect_stock_agent()
        self.machine.run("""
            rm /etc/systemd/system/qemu-guest-agent.service.d/quiesce.conf
            systemctl unmask quiesce-qemu-ga.socket
            systemctl daemon-reload
            systemctl stop qemu-guest-agent.service
            systemctl start quiesce-qemu-ga.socket
            systemctl restart quiesced.service""")
        self.expect_quiesced()
