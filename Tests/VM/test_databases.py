"""The shipped hooks, on the distribution's own units: each running server is served, or the backup fails."""
from __future__ import annotations

from case import Group, expect, expect_equal
from machine import Done

SETTINGS = "/etc/quiesced/hooks.conf.d"
REDIS, MARIADB, POSTGRESQL = "50-redis", "60-mariadb.session", "50-postgresql"
UNITS = "/run/systemd/system"


class Databases(Group):
    """Debian's units as they are installed, with hooks at their default settings; and systemd's units."""

    disks = {}

    def set_up(self) -> None:
        self.machine.wait_until("quiescectl status")
        self.machine.run("for hook in redis mariadb postgresql; do quiescectl hooks enable $hook; done")
        # Made without the time of an installation.
        self.machine.run("cp --archive /var/lib/mysql /var/lib/mysql-second")
        self.version = self.machine.run("ls /etc/postgresql")

    # --- What the cases share ---

    def attempt(self) -> Done:
        """A backup, with nothing in its window."""
        done = self.machine.start("quiescectl exec -- true", timeout=90).done(100)
        self.wait_until_idle()
        return done

    def expect_served(self, *hooks: str) -> str:
        """A backup at the level `application`, because of these hooks. Gives what all hooks wrote."""
        done = self.attempt()
        expect_equal(done.status, 0, f"quiescectl exec: {done.out}{done.err}")
        record = self.last_record()
        expect_equal(record["level"], "application", f"the level with {record}")
        expect_equal(record.get("working_hooks"), list(hooks), "the hooks that worked")
        return "\n".join(call.get("output", "") for call in record["hooks"])

    def expect_failed_backup(self, hook: str, *words: str) -> None:
        """A backup that fails, and says why."""
        done = self.attempt()
        expect(done.status == 1, f"exit status {done.status}, and not 1: {done.out}{done.err}")
        record = self.last_record()
        self.expect_words(record["reason"] + " ".join(call.get("output", "") for call in record["hooks"]), hook, *words)

    def expect_failed_hook(self, hook: str, *words: str) -> None:
        """The hook alone, as in a backup, but faster: it fails, and says why."""
        done = self.machine.start(f"quiescectl hooks run {hook}").done()
        expect(done.status == 1, f"exit status {done.status}, and not 1: {done.out}{done.err}")
        self.expect_words(done.out, *words)

    @staticmethod
    def expect_words(text: str, *words: str) -> None:
        text = " ".join(text.split())
        for word in words:
            expect(word in text, f"there is no {word!r} in {text}")

    def set(self, hook: str, text: str) -> None:
        self.machine.put(f"{SETTINGS}/{hook}", text)

    def process(self, unit: str) -> str:
        return self.property("MainPID", unit)

    # --- Databases ---

    def case_default_units(self) -> None:
        """Units and hooks as they come: nothing runs at first; then all three are served."""
        expect_equal(self.attempt().status, 0, "a backup without any server")
        expect_equal(self.last_record()["level"], "filesystem", "the level without any server")
        self.machine.run("systemctl start redis-server mariadb postgresql", timeout=120)
        wrote = self.expect_served(POSTGRESQL, REDIS, MARIADB)
        self.expect_words(wrote, f"{self.version}/main", "127.0.0.1:6379: saved", "/run/mysqld/mysqld.sock")
        self.machine.run("systemctl stop mariadb postgresql", timeout=120)

    def case_several_redis(self) -> None:
        """A server at a socket only, and another at another port, are found; an unlisted one fails the backup."""
        self.machine.run("cd /etc/redis && sed 's/^port .*/port 0/; $a unixsocket /run/redis/elsewhere.sock' redis.conf"
                         " >socket.conf && cp --archive redis.conf default.conf && cat socket.conf >redis.conf"
                         " && sed 's/^port .*/port 7000/; s/^dbfilename .*/dbfilename b.rdb/; s|^pidfile .*|pidfile"
                         " /run/redis-b/redis-server.pid|; s|^logfile .*|logfile \"\"|' default.conf >redis-b.conf"
                         " && chown redis:redis *.conf && systemctl restart redis-server"
                         " && systemctl start redis-server@b")
        wrote = self.expect_served(REDIS)
        self.expect_words(wrote, "/run/redis/elsewhere.sock: saved", "127.0.0.1:7000: saved")
        self.set("redis", "INSTANCES=/run/redis/elsewhere.sock\n")
        self.expect_failed_backup(REDIS, f"process {self.process('redis-server@b')}", "redis-server@b.service",
                                  "127.0.0.1:7000", "INSTANCES")
        self.set("redis", "INSTANCES='127.0.0.1:7000 127.0.0.1:6379'\n")
        self.expect_failed_hook(REDIS, f"process {self.process('redis-server')}", "/run/redis/elsewhere.sock",
                                "INSTANCES")
        self.set("redis", "INSTANCES='/run/redis/elsewhere.sock 127.0.0.1:7000'\n")
        self.machine.run(f"quiescectl hooks run {REDIS}")
        self.set("redis", "")
        self.machine.run("systemctl stop redis-server redis-server@b; cd /etc/redis && mv default.conf redis.conf")

    def case_container(self) -> None:
        """A container with the machine's pid namespace is known by its cgroup, and is not this machine's server."""
        command = "systemd-run --quiet --unit {} --uid redis {} redis-server --port 7000 --dir /tmp --save ''"
        self.machine.run(command.format("docker-redis.service", ""))
        expect("saved" in self.machine.run(f"quiescectl hooks run {REDIS}"), "the unit is not served")
        self.machine.run("systemctl stop docker-redis")
        number = "0123456789abcdef" * 4
        for unit, options in (("pod", "--slice machine.slice"), (f"docker-{number}", "")):
            self.machine.run(command.format(unit, options) + " && until redis-cli -p 7000 PING; do sleep 0.1; done")
            self.expect_words(self.machine.run(f"quiescectl hooks run {REDIS}"), "had no work")
            self.machine.run(f"systemctl stop {unit}")

    def case_several_mariadb(self) -> None:
        """A second instance on another socket is held, too; one that is not listed fails the backup."""
        self.machine.put("/etc/mysql/mariadb.conf.d/second.cnf",
                         "[mariadbd.second]\ndatadir=/var/lib/mysql-second\nsocket=/run/mysqld/second.sock\nport=3307\n"
                         "pid-file=/run/mysqld/second.pid\n")
        self.machine.run("systemctl start mariadb && systemctl start mariadb@second", timeout=120)
        wrote = self.expect_served(MARIADB)
        self.expect_words(wrote, "mysqld.sock: released", "second.sock: released")
        self.set("mariadb", "SOCKET=/run/mysqld/mysqld.sock\n")
        self.expect_failed_hook(MARIADB, f"process {self.process('mariadb@second')}", "/run/mysqld/second.sock",
                                "SOCKET")
        self.set("mariadb", "")
        self.machine.run("systemctl stop mariadb mariadb@second; rm /etc/mysql/mariadb.conf.d/second.cnf", timeout=120)

    def case_several_postgresql(self) -> None:
        """A second cluster is served, also where pg_lsclusters does not know it; an unlisted one fails the backup."""
        version = self.version
        self.machine.run(f"systemctl start postgresql && pg_createcluster {version} second -- --no-sync", timeout=120)
        self.machine.run(f"systemctl start postgresql@{version}-second")
        wrote = self.expect_served(POSTGRESQL)
        self.expect_words(wrote, f"{version}/main", f"{version}/second")
        self.set("postgresql", "CLUSTERS=postgres:/var/run/postgresql:5432\n")
        second = self.machine.run(f"head -n 1 /var/lib/postgresql/{version}/second/postmaster.pid")
        self.expect_failed_hook(POSTGRESQL, f"process {second}", f"postgresql@{version}-second.service", "CLUSTERS")
        # The account of CLUSTERS need not be the server's, nor a superuser.
        self.machine.run("cd / && runuser -u postgres -- psql --quiet --command='CREATE ROLE root LOGIN IN ROLE"
                         " pg_checkpoint, pg_read_all_settings'")
        self.set("postgresql", "CLUSTERS='root:/var/run/postgresql:5432 postgres:/var/run/postgresql:5433'\n")
        self.expect_words(self.machine.run(f"quiescectl hooks run {POSTGRESQL}"), "--port=5432", "--port=5433")
        self.set("postgresql", "")
        self.machine.run(f"mv /etc/postgresql/{version}/second /run/")
        self.expect_words(self.machine.run(f"quiescectl hooks run {POSTGRESQL}"), f"{version}/main", "--port=5433")
        self.machine.run(f"mv /run/second /etc/postgresql/{version}/; systemctl stop 'postgresql@*'")

    # --- systemd's units ---

    def unit(self, name: str, *lines: str) -> None:
        sections = "[Service]\nExecStart=/usr/bin/sleep infinity\n" if name.endswith(".service") else ""
        self.machine.put(f"{UNITS}/{name}", "\n".join(lines) + "\n" + sections)

    def expect_states(self, wanted: dict[str, str], when: str) -> None:
        found = self.machine.run(f"systemctl is-active {' '.join(wanted)}", check=False).split()
        expect_equal(dict(zip(wanted, found)), wanted, when)

    def case_dependent_units(self) -> None:
        """Units that are stopped with a listed one, and those that would start it, are stopped, and started again."""
        self.unit("my-main.service")
        self.unit("my-part.service", "[Unit]", "PartOf=my-main.service")
        self.unit("my-bound.service", "[Unit]", "BindsTo=my-main.service", "After=my-main.service")
        self.unit("my-needs.service", "[Unit]", "Requires=my-bound.service", "After=my-bound.service")
        self.unit("my-wants.service", "[Unit]", "Wants=my-main.service")
        self.unit("my-idle.service", "[Unit]", "PartOf=my-main.service")
        self.unit("my-main.socket", "[Socket]", "ListenStream=/run/my-main.sock")
        self.unit("my-timer.timer", "[Timer]", "OnCalendar=*:*:0/2", "Unit=my-bound.service")
        self.unit("my-rests.service")
        self.unit("my-rests.path", "[Path]", "PathExists=/run/my-appears")
        running = ["my-main.service", "my-part.service", "my-bound.service", "my-needs.service", "my-main.socket",
                   "my-timer.timer", "my-rests.path"]
        self.machine.run(f"systemctl daemon-reload && systemctl start my-main.socket my-wants {' '.join(running)}"
                         " && quiescectl hooks enable systemd-units")
        self.set("systemd-units", "UNITS='my-rests my-main.service'\n")
        before = dict.fromkeys([*running, "my-wants.service"], "active") | {
            "my-idle.service": "inactive", "my-rests.service": "inactive"}
        self.expect_states(before, "before")
        self.machine.run("quiescectl freeze", timeout=90)
        self.machine.run("touch /run/my-appears; (echo | timeout 1 python3 -c 'import socket; socket.socket(1)"
                         ".connect(\"/run/my-main.sock\")') || true; sleep 3")
        stopped = [*running, "my-idle.service", "my-rests.service"]
        self.expect_states(dict.fromkeys(stopped, "inactive") | {"my-wants.service": "active"}, "in the window")
        self.machine.run("rm /run/my-appears; quiescectl thaw", timeout=90)
        self.wait_until_idle()
        self.expect_states(before, "afterwards")
        # First what starts the others meanwhile.
        self.machine.run("systemctl stop 'my-*.timer' 'my-*.socket' 'my-*.path'; systemctl stop 'my-*'")

    def case_unit_started_in_the_window(self) -> None:
        """What starts a stopped unit all the same is told: before the freeze, or by a failed thaw."""
        self.unit("my-holds.service", "[Unit]", "Upholds=my-main.service")
        self.set("systemd-units", "UNITS=my-main.service\n")
        self.machine.run("systemctl daemon-reload && systemctl start my-main my-holds")
        self.expect_failed_hook("30-systemd-units", "Upholds=", "my-holds.service")
        self.machine.run("systemctl stop my-holds && systemctl is-active my-main && quiescectl freeze", timeout=90)
        self.machine.run("systemctl start my-main")
        done = self.machine.start("quiescectl thaw", timeout=90).done(100)
        self.wait_until_idle()
        expect_equal(done.status, 6, f"quiescectl thaw: {done.out}{done.err}")
        expect("something has started it in the window" in self.last_record()["hooks"][-1]["output"], "not told")
        self.machine.run("quiescectl acknowledge; systemctl stop my-main")

    def case_freeze_that_is_cut_short(self) -> None:
        """A hook that is killed while it stops units: thaw starts the socket of a service that still runs, too."""
        self.unit("my-slow-stop.service")
        self.machine.run(f"echo 'ExecStop=/usr/bin/sleep 20' >>{UNITS}/my-slow-stop.service && systemctl daemon-reload"
                         " && systemctl start my-main.socket my-main my-slow-stop")
        self.set("systemd-units", "UNITS='my-slow-stop my-main'\n")
        hook = f"QUIESCE_HOOK_SETTINGS={SETTINGS}/systemd-units /etc/quiesced/hooks.d/30-systemd-units"
        # Sockets are stopped first.
        self.machine.run(f"{hook} freeze >/dev/null 2>&1 & hook=$!; while systemctl --quiet is-active my-main.socket;"
                         " do sleep 0.1; done; kill -KILL $hook", timeout=60)
        self.expect_states({"my-main.socket": "inactive", "my-main.service": "active"}, "after the hook was killed")
        self.machine.run(f"{hook} thaw", timeout=90)
        names = ["my-main.socket", "my-main.service", "my-slow-stop.service"]
        self.expect_states(dict.fromkeys(names, "active"), "afterwards")
        self.machine.run("systemctl stop my-main.socket; systemctl stop my-main my-slow-stop", timeout=60)

    def case_units_that_cannot_be_stopped(self) -> None:
        """An unknown unit, one that is activating or transient, and a missing bus fail the backup, and stop nothing."""
        self.machine.put(f"{UNITS}/my-slow.service", "[Service]\nType=oneshot\nExecStart=/usr/bin/sleep infinity\n")
        self.unit("my-stays.service", "[Unit]", "RefuseManualStop=yes")
        self.machine.run("systemctl daemon-reload && systemctl start my-main my-stays"
                         " && systemctl start --no-block my-slow"
                         " && systemd-run --quiet --unit my-transient sleep infinity")
        for name, words in (("my-nowhere", "there is no such unit"), ("my-slow", "it is activating"),
                            ("my-transient", "could not be started again"), ("'my-*'", "not a pattern"),
                            ("my-stays", "cannot be stopped")):
            self.set("systemd-units", f'UNITS="my-main {name}"\n')
            self.expect_failed_hook("30-systemd-units", words)
            self.expect_states({"my-main.service": "active"}, name)
        self.machine.run("systemctl stop my-slow my-transient; systemctl kill my-stays")
        done = self.machine.start(
            "unshare --mount bash -c 'mount -t tmpfs none /run/systemd && mount -t tmpfs none /run/dbus &&"
            f" QUIESCE_HOOK_SETTINGS={SETTINGS}/systemd-units /etc/quiesced/hooks.d/30-systemd-units freeze'").done()
        expect_equal(done.status, 1, "the hook without a bus")
        expect("systemd does not answer" in done.out, f"the hook without a bus wrote {done.out}{done.err}")
        self.machine.run("systemctl stop my-main; quiescectl hooks disable systemd-units")
