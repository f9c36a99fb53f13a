"""The Varlink interface for the host, over the loopback of vsock."""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from case import Group, expect, expect_equal
from machine import Machine

ROOT = Path(__file__).resolve().parents[2]
DEBUG = ROOT / ".build/debug"
FILESYSTEMS = ["/", "/srv/xfs"]
TOKEN = "correct-horse-battery-staple"
PORT = 919
CONTROL = ('access = "control"', 'token_file = "/run/token"')

# What programs of the cases import in the guest. The loopback has the context id 1.
CLIENT = """
import json, socket, subprocess, sys, time

class Client:
    def __init__(self, token=None, port=%d):
        self.socket = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        self.socket.settimeout(50)
        self.socket.connect((1, port))
        if token is not None: print(self.ask("Authenticate", token=token))

    def send(self, method, more=False, **parameters):
        message = {"method": "org.quiesce.Control1." + method, "parameters": parameters, "more": more}
        self.socket.sendall(json.dumps(message).encode() + b"\\0")

    def receive(self):
        answer = b""
        while not answer.endswith(b"\\0"):
            part = self.socket.recv(1)
            if not part: raise ConnectionResetError
            answer += part
        return json.loads(answer[:-1])

    def call(self, method, **parameters):
        self.send(method, **parameters)
        return self.receive()

    # The name of the error, or "ok".
    def ask(self, method, **parameters):
        return self.call(method, **parameters).get("error", "ok").split(".")[-1]

    # Waits for the end.
    def is_closed(self):
        try:
            while self.socket.recv(65536): pass
        except ConnectionResetError: pass
        return True

def is_frozen(mount_point):
    done = subprocess.run(["fsfreeze", "--freeze", mount_point], capture_output=True, text=True)
    if done.returncode == 0: subprocess.run(["fsfreeze", "--unfreeze", mount_point], check=True)
    return "busy" in done.stderr
""" % PORT


class Vsock(Group):
    """The package refuses the loopback; a debug build, which takes the loopback for the host, serves it."""

    disks = {"xfs": 400, "programs": 1}
    # The lines of the debug build's section [vsock]; None for the package.
    served: tuple[str, ...] | None = None

    def __init__(self, machine: Machine, package: Path) -> None:
        super().__init__(machine, package)
        self._make_programs(machine.disk("programs"))

    @staticmethod
    def _make_programs(disk: Path) -> None:
        """A filesystem with the debug build and its libraries."""
        programs = [DEBUG / name for name in ("quiesced", "quiescectl", "quiesce-freezer")]
        for program in programs:
            if not program.exists():
                raise SystemExit(f"no {program}: swift build")
        listed = subprocess.run(["ldd", *programs], check=True, capture_output=True, text=True).stdout
        libraries = {Path(path) for path in re.findall(r"=> (/\S+/swift/\S+)", listed)}
        root = disk.parent / "programs"
        shutil.rmtree(root, ignore_errors=True)
        for name, sources in [("bin", programs), ("lib", libraries)]:
            (root / name).mkdir(parents=True)
            for source in sources:
                shutil.copy(source, root / name)
        (root / "libraries").write_text(str(next(iter(libraries)).parent))
        disk.unlink()
        subprocess.run(["mkfs.ext4", "-q", "-d", root, disk, "1G"], check=True)
        shutil.rmtree(root)

    def set_up(self) -> None:
        self.machine.run(
            "mkfs.xfs -q /dev/disk/by-id/virtio-xfs && mkdir -p /srv/xfs && mount /dev/disk/by-id/virtio-xfs /srv/xfs")
        self.load_driver()
        self.machine.put("/run/vsock_client.py", CLIENT)
        self.machine.put("/run/token", TOKEN + "\n", "600")

    def configure_vsock(self, *lines: str) -> None:
        # A debug build in an emulated machine is too slow for the mounts of other namespaces.
        text = "\n".join(["[filesystems]", 'mount_namespaces = "own"', "[vsock]", "enabled = true", f"port = {PORT}",
                          *lines, ""])
        self.configure(text)

    def wait_for_registration(self) -> None:
        super().wait_for_registration()
        if self.machine.start("grep -qx 'enabled = true' /etc/quiesced/quiesced.toml").done().status == 0:
            self.machine.wait_until(
                "quiescectl status --json | tr -d ' \\n' | grep -E '\"name\":\"vsock\",\"registered\":true'")

    def python(self, *lines: str) -> list[str]:
        """What a client in the guest prints."""
        return self.start_python(*lines).done().out.split("\n")[:-1]

    def start_python(self, *lines: str):
        program = "\n".join(["import sys; sys.path.insert(0, '/run')", "from vsock_client import *", *lines])
        return self.machine.start("python3 -B -u - 2>&1", input=program)

    # --- The package ---

    def case_package_refuses_the_loopback(self) -> None:
        """A user of the guest is not the host: cut off unheard, whatever the environment says; one line in the log."""
        self.machine.run("mkdir -p /run/systemd/system/quiesced.service.d")
        self.machine.put(
            "/run/systemd/system/quiesced.service.d/peer.conf", "[Service]\nEnvironment=QUIESCE_VSOCK_PEER=1\n")
        self.machine.run("systemctl daemon-reload")
        cursor = self.journal_cursor()
        self.configure_vsock()
        self.wait_for_journal(cursor, f"vsock: listening on port {PORT} for the host")
        output = self.python(
            "for cid in (1, 2, socket.VMADDR_CID_ANY):",
            "    for number in range(20):",
            "        peer = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM); peer.settimeout(20)",
            "        try:",
            f"            peer.connect((cid, {PORT}))",
            "            peer.sendall(b'{\"method\":\"org.quiesce.Control1.Status\"}\\0')",
            "            answer = peer.recv(1)",
            "        except OSError as error: answer = b''",
            "        if answer: print('answered', cid)",
            "print('done')")
        expect_equal(output, ["done"], "the answers to users of the guest")
        self.wait_for_journal(cursor, "the machine with the context id 1 was refused: only the host may connect")
        expect_equal(self.journal(cursor).count("was refused"), 1, "lines in the log")
        expect_equal(self.property("NRestarts"), "0", "restarts")
        self.backup()

    def case_package_without_vsock(self) -> None:
        """Without the modules: one line, and the host's backups go on; with the modules it listens."""
        self.configure_vsock()
        self.machine.run("systemctl stop quiesced; mkdir -p /run/modprobe.d;"
                         " echo 'install vsock /bin/false' >/run/modprobe.d/vsock.conf;"
                         # The transports first, in whatever order they hold one another.
                         " while grep -q ^vsock /proc/modules; do"
                         " rmmod $(awk '/^(vmw_)?vsock|^hv_sock/ { print $1 }' /proc/modules) 2>/dev/null; done")
        cursor = self.journal_cursor()
        self.machine.run("systemctl start quiesced")
        self.wait_for_journal(cursor, "vsock: cannot listen on port .*: the kernel has no vsock")
        super().wait_for_registration()
        self.backup()
        expect_equal(self.journal(cursor).count("the kernel has no vsock"), 1, "lines in the log")
        self.machine.run("rm /run/modprobe.d/vsock.conf")
        self.wait_for_registration()

    # --- The debug build ---

    def serve(self, *lines: str) -> None:
        """The debug build, with the lines in section [vsock]. Nothing restarts if the last case had the same lines."""
        if self.served is None:
            self.install_debug_build()
        if self.served != lines:
            self.configure_vsock(*lines)
            self.served = lines

    def install_debug_build(self) -> None:
        self.machine.run(
            "mkdir -p /run/programs /run/systemd/system/quiesced.service.d;"
            " mountpoint -q /run/programs || mount -o ro /dev/disk/by-id/virtio-programs /run/programs")
        self.machine.run("target=$(cat /run/programs/libraries) && mkdir -p $target"
                         " && { mountpoint -q $target || mount --bind /run/programs/lib $target; }")
        self.machine.put(
            "/run/systemd/system/quiesced.service.d/peer.conf",
            "[Service]\nEnvironment=QUIESCE_VSOCK_PEER=1\nExecStart=\nExecStart=/run/programs/bin/quiesced\n")
        self.machine.run("systemctl daemon-reload")

    def case_debug_build_serves(self) -> None:
        """The loopback as the host, without a token: it reads, and nothing else."""
        self.serve()
        output = self.python(
            "client = Client()",
            "status = client.call('Status')['parameters']",
            "print(status['state'], [each['state'] for each in status['channels'] if each['name'] == 'vsock'])",
            "print([client.ask(method, hold=True) for method in ('History', 'Freeze', 'Thaw', 'Acknowledge')])",
            "print(client.ask('Authenticate', token='x'))",
            "client.send('Monitor', more=True); print(client.receive()['continues'])")
        expect_equal(output, [
            "idle ['listening']", "['ok', 'PermissionDenied', 'PermissionDenied', 'PermissionDenied']", "Failed",
            "True"], "the answers")
        self.backup()

    def case_tokens(self) -> None:
        """No token, wrong tokens, the right token; three wrong ones end the connection; none is in the log."""
        cursor = self.journal_cursor()
        self.serve(*CONTROL)
        output = self.python(
            "client = Client()",
            "print([client.ask(each, hold=True) for each in ('Status', 'History', 'Monitor', 'Freeze', 'Thaw')])",
            f"print([client.ask('Authenticate', token=each) for each in ('wrong', '{TOKEN}x')])",
            "print(client.ask('Status'))",
            f"print(client.ask('Authenticate', token='{TOKEN}'), client.ask('Status'))",
            "guesser = Client()",
            "began = time.monotonic()",
            "print([guesser.ask('Authenticate', token=str(each) * 16) for each in range(3)], guesser.is_closed())",
            "print(time.monotonic() - began > 2)")
        denied = "PermissionDenied"
        expect_equal(output, [
            str([denied] * 5), str([denied] * 2), denied, "ok ok", str([denied] * 3) + " True", "True"], "the answers")
        log = self.journal(cursor)
        expect("the host has shown a wrong token" in log, log)
        expect(TOKEN not in log and "1111" not in log, "a token is in the log")

    def case_window(self) -> None:
        """Freeze, proof, thaw: a backup of the channel vsock."""
        self.serve(*CONTROL)
        output = self.python(
            f"client = Client('{TOKEN}')",
            "window = client.call('Freeze', hold=True)['parameters']",
            f"print([is_frozen(each) for each in {FILESYSTEMS}])",
            "print(client.call('Status')['parameters']['request']['channel'])",
            "print(client.ask('Freeze', hold=True))",
            "print(client.ask('Thaw', request=window['request']))",
            f"print([is_frozen(each) for each in {FILESYSTEMS}])",
            "print(client.ask('Thaw'))")
        expect_equal(output, [
            "ok", "[True, True]", "vsock", "Busy", "ok", "[False, False]", "NothingFrozen"], "the answers")
        self.wait_until_idle()
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("vsock", "succeeded"), "the record")
        last = self.status()["last_good_backup"]
        expect_equal(last["channel"], "vsock", "the last good backup")

    def case_example(self) -> None:
        """The program in docs/vsock.md, as a host runs it: a command that succeeds, one that fails, a wrong token."""
        self.serve(*CONTROL)
        page = (ROOT / "docs/vsock.md").read_text()
        self.machine.put("/run/window.py", re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0])
        run = f"python3 -B /run/window.py 1 {PORT}"
        probe = "sh -c 'fsfreeze --freeze / 2>&1 | grep -q busy'"
        self.machine.run(f"{run} /run/token {probe}")
        self.wait_until_idle()
        expect_equal((self.last_record()["channel"], self.last_record()["result"]), ("vsock", "succeeded"), "a record")
        expect_equal(self.machine.start(f"{run} /run/token sh -c 'exit 7'").done().status, 7, "the status")
        self.wait_until_idle()
        expect_equal(self.last_record()["reason"], "the command exited with status 7", "the reason")
        self.machine.put("/run/wrong", "x" * 20)
        done = self.machine.start(f"{run} /run/wrong true").done()
        expect(done.status == 1 and "PermissionDenied: the token is wrong" in done.err, f"{done}")

    def case_client_killed_in_the_window(self) -> None:
        """SIGKILL of the client: thawed at once, and the record is a failure."""
        self.serve(*CONTROL)
        client = self.start_python(f"client = Client('{TOKEN}')", "client.call('Freeze', hold=True)", "time.sleep(100)")
        self.machine.wait_until("quiescectl status --json | tr -d ' \\n' | grep '\"state\":\"frozen\"'")
        self.expect_frozen(FILESYSTEMS)
        self.machine.run("kill -KILL $(pgrep -f '^python3 -B -u -')")
        self.expect_thawed(FILESYSTEMS, within=20)
        client.done()
        self.wait_until_idle()
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("vsock", "failed"), "the record")
        expect("the connection that held the window has ended" in record["reason"], record["reason"])
        self.backup()

    def case_half_open_in_the_window(self) -> None:
        """A client that closes its sending half has left its window."""
        self.serve(*CONTROL)
        output = self.python(
            f"client = Client('{TOKEN}')",
            "print(client.ask('Freeze', hold=True))",
            "client.socket.shutdown(socket.SHUT_WR)",
            "print(client.is_closed())")
        expect_equal(output, ["ok", "ok", "True"], "the answers")
        self.expect_thawed(FILESYSTEMS)
        self.wait_until_idle()
        expect_equal(self.last_record()["result"], "failed", "the record")

    def case_others_are_left_alone(self) -> None:
        """A window of Hyper-V, of the control socket, and of another connection: with force or without, refused."""
        self.serve(*CONTROL)
        attempts = (
            f"client = Client('{TOKEN}')",
            "print([client.ask('Thaw'), client.ask('Thaw', force=True), client.ask('Thaw', hooks_only=True),"
            " client.ask('Freeze', hold=True), client.ask('Freeze'), client.ask('Acknowledge'),"
            " client.ask('Freeze', freeze=False)])")
        denied = "PermissionDenied"
        expected = ["ok", str(["NotOwner", denied, denied, "Busy", denied, denied, denied])]
        self.freeze()
        expect_equal(self.python(*attempts), expected, "beside Hyper-V's window")
        self.expect_frozen(FILESYSTEMS)
        self.thaw()
        self.wait_until_idle()
        self.machine.run("quiescectl freeze")
        expect_equal(self.python(*attempts), expected, "beside a window of the control socket")
        self.expect_frozen(FILESYSTEMS)
        self.machine.run("quiescectl thaw")
        self.wait_until_idle()
        output = self.python(f"holder = Client('{TOKEN}')", "print(holder.ask('Freeze', hold=True))", *attempts,
                             "print(is_frozen('/'), holder.ask('Thaw'))")
        expect_equal(output, ["ok", "ok", *expected, "True ok"], "beside another connection")
        self.wait_until_idle()
        expect_equal(self.last_record()["result"], "succeeded", "the record")

    def case_connections(self) -> None:
        """Sixteen connections with a token: the seventeenth is refused. Silent ones without a token make room."""
        self.serve(*CONTROL)
        output = self.python(
            "clients = [Client() for _ in range(16)]",
            f"print({{each.ask('Authenticate', token='{TOKEN}') for each in clients}})",
            "print(Client().is_closed())",
            "print({each.ask('Status') for each in clients})",
            "clients.pop().socket.close()",
            "silent = [Client() for _ in range(20)]",
            "print(silent[0].is_closed(), silent[-1].ask('Status'), {each.ask('Status') for each in clients})")
        expect_equal(output, ["{'ok'}", "True", "{'ok'}", "True PermissionDenied {'ok'}"], "the answers")

    def case_idle(self) -> None:
        """A silent connection is closed after a minute; a window and a subscription stay."""
        self.serve(*CONTROL, "[freeze]", 'max_window = "5m"')
        pending = self.machine.start(
            "python3 -B -u - 2>&1", timeout=200, input="\n".join([
                "import sys; sys.path.insert(0, '/run')", "from vsock_client import *",
                f"holder, monitor, silent = Client('{TOKEN}'), Client('{TOKEN}'), Client()",
                "monitor.send('Monitor', more=True); monitor.receive()",
                "print(holder.ask('Freeze', hold=True, mount_points=['/srv/xfs']))",
                "began = time.monotonic(); silent.socket.settimeout(90)",
                "silent.socket.sendall(b'{\"method\":')",
                "print(silent.is_closed(), 55 < time.monotonic() - began < 80)",
                "time.sleep(30)",
                "print(holder.ask('Thaw'), is_frozen('/srv/xfs'))",
                "print(monitor.receive()['parameters']['event']['kind'])"]))
        expect_equal(
            pending.done(220).out.split(), ["ok", "ok", "ok", "True", "True", "ok", "False", "state"], "the answers")
        self.configure_vsock('access = "control"', 'token_file = "/run/token"')

    def case_flood(self) -> None:
        """Garbage, half calls and calls without end, on all connections: the window of the host's VSS goes on."""
        self.serve(*CONTROL)
        self.freeze()
        flood = self.start_python(
            "import threading",
            "def flood(number):",
            "    for turn in range(20):",
            "        try:",
            "            client = Client()",
            "            piece = [b'garbage\\0', b'[' * 70000 + b'\\0', b'x' * 100000, b'\\0' * 1000,",
            "                b'{\"method\":\"org.quiesce.Control1.Thaw\",\"parameters\":{\"force\":true}}\\0' * 200,",
            "                b'{\"method\":\"org.quiesce.Control1.Authenticate\",'"
            "                b'\"parameters\":{\"token\":\"x\"}}\\0' * 9",
            "            ][(number + turn) % 6]",
            "            client.socket.settimeout(5)",
            "            client.socket.sendall(piece); client.socket.recv(100)",
            "        except OSError: pass",
            "threads = [threading.Thread(target=flood, args=(each,)) for each in range(24)]",
            "for each in threads: each.start()",
            "for each in threads: each.join()",
            "print('done')")
        self.machine.run("timeout 20 quiescectl status >/dev/null")
        self.expect_frozen(["/srv/xfs"])
        self.thaw()
        expect_equal(flood.done(70).out, "done\n", "the flood")
        self.wait_until_idle()
        record = self.last_record()
        expect_equal((record["channel"], record["result"]), ("hyperv", "succeeded"), "the record")
        self.backup()
        expect_equal(self.python(f"print(Client('{TOKEN}').ask('Status'))"), ["ok", "ok"], "the host afterwards")

    def case_kill_daemon(self) -> None:
        """SIGKILL of the daemon in a window of the host: thawed, and the next daemon listens again."""
        self.serve(*CONTROL)
        client = self.start_python(
            f"client = Client('{TOKEN}')", "print(client.ask('Freeze', hold=True))", "print(client.is_closed())")
        self.machine.wait_until("quiescectl status --json | tr -d ' \\n' | grep '\"state\":\"frozen\"'")
        self.machine.run("kill -KILL $(pidof quiesced)")
        self.expect_thawed(FILESYSTEMS)
        expect_equal(client.done().out, "ok\nok\nTrue\n", "what the client saw")
        self.wait_for_registration()
        self.backup()

    def case_bad_tokens_files(self) -> None:
        """A token that users can read, or that is too short, or control without a token: quiesced does not start."""
        self.serve(*CONTROL)
        for text, mode, words in [
                (TOKEN, "644", "permissions to others than root"), ("short", "600", "16 to 1024 bytes")]:
            self.machine.put("/run/token", text, mode)
            cursor = self.journal_cursor()
            self.machine.run("systemctl restart quiesced", check=False)
            self.wait_for_journal(cursor, words)
            self.machine.wait_until("systemctl is-failed quiesced")
            done = self.machine.start("quiescectl check --before-start --json").done()
            expect(words in done.out + done.err, f"check says {done.out}{done.err}")
        self.machine.put("/run/token", TOKEN + "\n", "600")
        self.put_configuration(f'[vsock]\nenabled = true\nport = {PORT}\naccess = "control"\n')
        cursor = self.journal_cursor()
        self.machine.run("systemctl restart quiesced", check=False)
        self.wait_for_journal(cursor, "needs a token, and vsock.token_file names no file")
        self.machine.run("rm /run/systemd/system/quiesced.service.d/peer.conf && systemctl daemon-reload")
        self.served = None
        self.configure_as_shipped()
        self.backup()
