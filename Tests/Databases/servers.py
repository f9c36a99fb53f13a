"""The databases: how a server of each is made, written to, and opened on a copy.

Each has `filesystems`, `hook` (its name), `settings`, `start()`, `connect()` (which gives a function that writes the row
with a number, and returns when that is acknowledged), `open(copy)` (which gives the numbers on a copy, and has to raise
`Failed` if anything is wrong with it), `stop()`, and `difference`: what is seen on the copy that tells a backup with the
hook from one without.
"""

import contextlib
import pathlib
import re
import socket
import sqlite3
import subprocess
import threading
import time

import psycopg2
import pymysql

from scratch import Failed, Filesystem, Program, fresh_directory, run, wait_until


class Trap:
    """A file of commands in the home of a database's account. The account's client would run the file for the hook."""

    def __init__(self, file, text):
        self.sign = pathlib.Path("/tmp") / f"{file.name}-ran"
        file.write_text(text.format(sign=self.sign), encoding="utf-8")

    def require_unsprung(self):
        """Require that the hook has not read the file."""
        if self.sign.exists():
            raise Failed(f"the hook's client has run the commands of its account: {self.sign}")


class PostgreSQL:
    """A cluster as Debian makes it, on one filesystem."""

    hook = "postgresql"
    settings = ""
    # What its documentation names for a copy of a running server: recovery from the WAL.
    errors = re.compile(r"\b(ERROR|FATAL|PANIC|WARNING):(?!.*the database system is starting up)")

    def __init__(self):
        self.filesystems = [Filesystem("postgresql", 768)]
        self.data = self.filesystems[0].path / "data"
        self.difference = ""
        self.trap = Trap(pathlib.Path("/var/lib/postgresql/.psqlrc"), "\\! touch {sign}\n")

    def require_hook(self):
        """Further requirements on a backup with the hook."""
        self.trap.require_unsprung()

    def start(self):
        """Makes it and starts it; root is let in."""
        fresh_directory("/tmp/postgresql", "postgres")
        run("pg_createcluster", "--datadir", self.data, "--socketdir", "/tmp/postgresql", "15", "proof")
        run("pg_ctlcluster", "15", "proof", "start")
        run("runuser", "-u", "postgres", "--", "createuser", "--cluster=15/proof", "--superuser", "root")
        with self._session("/tmp/postgresql", 5432) as cursor:
            cursor.execute("CREATE TABLE numbered (number integer PRIMARY KEY, filler text)")

    @staticmethod
    def _connection(directory, port):
        connection = psycopg2.connect(host=directory, port=port, dbname="postgres", user="root")
        connection.autocommit = True
        return connection

    @contextlib.contextmanager
    def _session(self, directory, port):
        with contextlib.closing(self._connection(directory, port)) as connection, connection.cursor() as cursor:
            yield cursor

    def connect(self):
        """A connection that writes rows."""
        cursor = self._connection("/tmp/postgresql", 5432).cursor()
        return lambda number: cursor.execute("INSERT INTO numbered VALUES (%s, repeat('x', 200))", (number,))

    def open(self, copy):
        """Recovers it, and gives its rows."""
        data = copy.paths[0] / "data"
        fresh_directory("/tmp/postgresql-copy", "postgres")
        # A restored machine has no server that runs.
        (data / "postmaster.pid").unlink(missing_ok=True)
        begun = time.monotonic()
        server = Program("/usr/lib/postgresql/15/bin/postgres", "-D", data,
                         "--config-file=/etc/postgresql/15/proof/postgresql.conf", "-c", f"data_directory={data}",
                         "-c", "external_pid_file=", "-c", "unix_socket_directories=/tmp/postgresql-copy",
                         "-c", "port=5433", log="/tmp/postgresql-copy.log", user="postgres")
        try:
            wait_until("the copy accepts connections", lambda: self._is_ready(server))
            self.difference = f"ready after {time.monotonic() - begun:.2f} s, {self._replayed(server.text)}"
            with self._session("/tmp/postgresql-copy", 5433) as cursor:
                cursor.execute("SELECT number FROM numbered ORDER BY number")
                rows = [row[0] for row in cursor.fetchall()]
        finally:
            server.end(2)
        if wrong := [line for line in server.text.splitlines() if self.errors.search(line)]:
            raise Failed(f"the copy's server says: {wrong[:5]}")
        return rows

    @staticmethod
    def _is_ready(server):
        server.require()
        return "ready to accept connections" in server.text

    @staticmethod
    def _replayed(log):
        begin = re.search(r"redo starts at (\w+)/(\w+)", log)
        end = re.search(r"redo done at (\w+)/(\w+)", log)
        if not begin or not end:
            return "nothing replayed"
        position = [int(match[1], 16) << 32 | int(match[2], 16) for match in (begin, end)]
        return f"{(position[1] - position[0]) / 1024:.0f} KiB of WAL replayed"

    def stop(self):
        """Ends it, and removes its cluster."""
        run("pg_ctlcluster", "15", "proof", "stop", "--mode", "immediate")
        run("pg_dropcluster", "15", "proof")


class MariaDB:
    """A server with its tables on one filesystem, its redo log and binary log on another. Every number is written to a
    table of InnoDB and, before the commit, to one without transactions."""

    hook = "mariadb"
    # It is found.
    settings = ""
    options = ()

    def __init__(self):
        self.filesystems = [Filesystem("mariadb-data", 640), Filesystem("mariadb-logs", 320)]
        self.server = None
        self.difference = ""

    @staticmethod
    def _server(data, logs, name, log, options=()):
        fresh_directory(f"/tmp/{name}", "mysql")
        return Program("mariadbd", "--no-defaults", f"--datadir={data / 'data'}",
                       f"--innodb-log-group-home-dir={logs / 'redo'}", f"--log-bin={logs / 'binlog' / 'log'}",
                       "--innodb-log-file-size=16M", "--innodb-buffer-pool-size=64M", "--sync-binlog=1",
                       f"--socket=/tmp/{name}/socket", f"--pid-file=/tmp/{name}/pid", "--skip-networking",
                       "--server-id=1", "--user=mysql", *options, log=log)

    def start(self):
        """Makes it and starts it; root is let in by the socket, as in Debian."""
        data, logs = (filesystem.path for filesystem in self.filesystems)
        for directory in (data / "data", logs / "redo", logs / "binlog"):
            fresh_directory(directory, "mysql")
        run("mariadb-install-db", "--no-defaults", "--user=mysql", f"--datadir={data / 'data'}", "--skip-test-db",
            "--auth-root-authentication-method=socket", "--innodb-log-file-size=16M",
            f"--innodb-log-group-home-dir={logs / 'redo'}")
        self.server = self._server(data, logs, "mariadb", "/tmp/mariadb.log", self.options)
        self._wait(self.server, "mariadb")
        with self._session("mariadb") as cursor:
            cursor.execute("CREATE DATABASE proof")
            cursor.execute("CREATE TABLE proof.numbered (number INT PRIMARY KEY, filler TEXT) ENGINE=InnoDB")
            cursor.execute("CREATE TABLE proof.plain (number INT PRIMARY KEY, filler TEXT) ENGINE=MyISAM")
            cursor.execute("CREATE TABLE proof.other (number INT) ENGINE=MyISAM")

    @staticmethod
    @contextlib.contextmanager
    def _session(name):
        connection = pymysql.connect(unix_socket=f"/tmp/{name}/socket", user="root", autocommit=True)
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor

    def _wait(self, server, name):
        def is_ready():
            server.require()
            try:
                with self._session(name) as cursor:
                    # Of a table: a node of Galera refuses that until it is ready.
                    cursor.execute("SELECT COUNT(*) FROM mysql.db")
            except pymysql.err.OperationalError:
                return False
            return True
        wait_until(f"{name} accepts connections", is_ready)

    def connect(self):
        """A connection that writes rows."""
        connection = pymysql.connect(unix_socket="/tmp/mariadb/socket", user="root", database="proof")
        cursor = connection.cursor()

        def write(number):
            cursor.execute("INSERT INTO plain VALUES (%s, REPEAT('x', 200))", (number,))
            cursor.execute("INSERT INTO numbered VALUES (%s, REPEAT('x', 200))", (number,))
            connection.commit()
        return write

    def open(self, copy):
        """Recovers it, and gives its rows; looks at the table without transactions."""
        server = self._server(*copy.paths, "mariadb-copy", "/tmp/mariadb-copy.log")
        try:
            self._wait(server, "mariadb-copy")
            with self._session("mariadb-copy") as cursor:
                cursor.execute("SELECT number FROM proof.numbered ORDER BY number")
                rows = [row[0] for row in cursor.fetchall()]
                cursor.execute("CHECK TABLE proof.numbered")
                if (verdict := cursor.fetchall()[-1][-1]) != "OK":
                    raise Failed(f"CHECK TABLE numbered: {verdict}")
                cursor.execute("CHECK TABLE proof.plain")
                complaints = [row[-1] for row in cursor.fetchall() if row[-1] != "OK"]
        finally:
            server.end()
        self.difference = f"table without transactions: {'; '.join(complaints) or 'OK'}"
        if wrong := [line for line in server.text.splitlines() if "[ERROR]" in line and "proof/plain" not in line
                     and "./proof/plain" not in line]:
            raise Failed(f"the copy's server says: {wrong[:5]}")
        return rows

    def require_hook(self):
        """What a backup with the hook must show besides."""
        if not self.difference.endswith("OK"):
            raise Failed(self.difference)

    def rehearse_hook(self, exec_in_window, writer):
        """What the hook does about the server's limits and its other clients. Needs the hook."""
        self._outlive_wait_timeout(exec_in_window)
        self._wait_for_query(exec_in_window, writer)
        self._give_up(writer)

    def _outlive_wait_timeout(self, exec_in_window):
        """A connection that says nothing for longer than the server allows is not the hook's."""
        with self._session("mariadb") as cursor:
            cursor.execute("SET GLOBAL wait_timeout = 1")
        try:
            exec_in_window("sleep 3")
        finally:
            with self._session("mariadb") as cursor:
                cursor.execute("SET GLOBAL wait_timeout = 28800")

    @contextlib.contextmanager
    def _query(self, seconds):
        """A client whose statement runs for so long, and keeps the hook's lock from being had, but no other client out."""
        def execute():
            with contextlib.suppress(pymysql.err.Error), self._session("mariadb") as cursor:
                cursor.execute(f"INSERT INTO proof.other SELECT SLEEP({seconds})")
        client = threading.Thread(target=execute, daemon=True)
        client.start()
        with self._session("mariadb") as cursor:
            def is_running():
                cursor.execute("SELECT id FROM information_schema.processlist WHERE state = 'User sleep'")
                return cursor.fetchone()
            wait_until("the query runs", is_running)
            number = is_running()[0]
            try:
                yield
            finally:
                with contextlib.suppress(pymysql.err.Error):
                    cursor.execute(f"KILL {number}")
                client.join(60)

    def _wait_for_query(self, exec_in_window, writer):
        """A long query delays the backup; other clients wait for a second at a time."""
        writer.longest = 0.0
        with self._query(6):
            exec_in_window("true")
        print(f"  behind a query of 6 s: client stall {writer.longest * 1000:.0f} ms")
        if writer.longest > 3:
            raise Failed(f"a client waited {writer.longest:.1f} s while the hook waited for a query")

    def _give_up(self, writer):
        """A query that does not end is named."""
        configuration = pathlib.Path("/tmp/impatient.toml")
        configuration.write_text('[hyperv]\nenabled = false\n[hooks]\ntimeout = "8s"\n', encoding="utf-8")
        writer.longest = 0.0
        with self._query(60):
            done = subprocess.run(["/quiesce/bin/quiescectl", "hooks", "run", f"60-{self.hook}.session", "--config",
                                   configuration], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        text = " ".join(done.stdout.split())
        if done.returncode != 1 or "no lock was to be had" not in text or "SLEEP(60)" not in text.replace(" (", "("):
            raise Failed(f"exit status {done.returncode}, without the query's name: {done.stdout}")
        print(f"  behind a query of 60 s: client stall {writer.longest * 1000:.0f} ms: {text}")
        if writer.longest > 3:
            raise Failed(f"a client waited {writer.longest:.1f} s while the hook waited for a query")

    @staticmethod
    def break_hook():
        """A command for the window that ends the hook's connection, and with it the lock. Another one of the hook's may
        still be ending."""
        client = "mariadb --socket=/tmp/mariadb/socket --batch --skip-column-names"
        sleeping = ("SELECT id FROM information_schema.processlist"
                    " WHERE user = 'root' AND command = 'Sleep' AND db IS NULL")
        return f'for id in $({client} --execute="{sleeping}"); do {client} --execute="KILL $id"; done; true'

    def stop(self):
        """Ends it."""
        if self.server:
            self.server.end()


class MySQL(MariaDB):
    """The same server, held as MySQL is. (MySQL's own server is not in Debian.)"""

    hook = "mysql"
    settings = "LOCK=tables\n"


class Galera(MariaDB):
    """The only node of a cluster."""

    options = ("--wsrep-on=ON", "--wsrep-provider=/usr/lib/galera/libgalera_smm.so", "--wsrep-new-cluster",
               "--wsrep-cluster-address=gcomm://", "--wsrep-node-address=127.0.0.1", "--binlog-format=ROW",
               "--innodb-autoinc-lock-mode=2", "--wsrep-provider-options=base_host=127.0.0.1;base_port=14567")

    @staticmethod
    def _state():
        return ("mariadb --socket=/tmp/mariadb/socket --batch --skip-column-names --execute=\"SELECT @@wsrep_desync,"
                " (SELECT VARIABLE_VALUE FROM information_schema.GLOBAL_STATUS"
                " WHERE VARIABLE_NAME = 'wsrep_local_state_comment')\"")

    def _require(self, place, expected):
        found = pathlib.Path(place).read_text(encoding="utf-8").split()
        if found != expected:
            raise Failed(f"the node is {found}, and not {expected}")

    def rehearse_hook(self, exec_in_window, writer):
        """The node is desynced in the window only. One that was desynced stays so."""
        with self._session("mariadb") as cursor:
            for setting in ("OFF", "ON"):
                cursor.execute(f"SET GLOBAL wsrep_desync = {setting}")
                exec_in_window(f"{self._state()} >/run/state")
                self._require("/run/state", ["1", "Donor/Desynced"])
                run("sh", "-c", f"{self._state()} >/run/state")
                self._require("/run/state", ["0", "Synced"] if setting == "OFF" else ["1", "Donor/Desynced"])
            cursor.execute("SET GLOBAL wsrep_desync = OFF")
        print("  the node is desynced in the window only")


class Redis:
    """A server that saves when it is told to."""

    hook = "redis"
    settings = "INSTANCES=/tmp/redis/socket\n"
    options = ("--save", "", "--appendonly", "no")
    password = ""

    def __init__(self):
        self.filesystems = [Filesystem("redis", 512)]
        self.server = None
        self.difference = ""

    def _server(self, directory, name):
        fresh_directory(f"/tmp/{name}", "redis")
        return Program("redis-server", "--port", "0", "--unixsocket", f"/tmp/{name}/socket", "--dir", directory,
                       *self.options, log=f"/tmp/{name}.log", user="redis")

    def start(self):
        """Starts it."""
        self.server = self._server(fresh_directory(self.filesystems[0].path / "data", "redis"), "redis")
        wait_until("redis accepts connections", lambda: self._is_ready(self.server))

    @staticmethod
    def _is_ready(server):
        server.require()
        return "accept connections" in server.text

    def _ask(self, name):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(f"/tmp/{name}/socket")
        stream = connection.makefile("rwb")

        def ask(command):
            stream.write(command.encode() + b"\r\n")
            stream.flush()
            line = stream.readline().decode().rstrip()
            if line[0] == "*":
                return [stream.read(int(stream.readline()[1:]) + 2)[:-2].decode() for _ in range(int(line[1:]))]
            if line == "+OK":
                return line
            if line[0] != ":":
                raise Failed(f"redis: {line}")
            return int(line[1:])
        if self.password:
            quoted = self.password.replace("\\", "\\\\").replace('"', '\\"')
            ask(f'AUTH "{quoted}"')
        return ask

    def connect(self):
        """A connection that writes rows."""
        ask = self._ask("redis")
        return lambda number: ask(f"RPUSH rows {number}")

    def open(self, copy):
        """Loads it, and gives its rows."""
        server = self._server(copy.paths[0] / "data", "redis-copy")
        try:
            wait_until("the copy accepts connections", lambda: self._is_ready(server))
            rows = [int(row) for row in self._ask("redis-copy")("LRANGE rows 0 -1")]
        finally:
            server.end(9)
        self.difference = f"{len(rows)} rows"
        if wrong := [line for line in server.text.splitlines()
                     if re.search(r"corrupt|truncat|\bbad\b|fatal|short read", line, re.I)]:
            raise Failed(f"the copy's server says: {wrong[:5]}")
        return rows

    def stop(self):
        """Ends it."""
        if self.server:
            self.server.end(9)


class RedisWithAppendOnlyFile(Redis):
    """A server that writes down every command, and asks for a password."""

    password = 'with "quotes" and \\'
    options = ("--save", "", "--appendonly", "yes", "--appendfsync", "everysec", "--requirepass", password)
    settings = Redis.settings + "PASSWORD_FILE=/etc/quiesced/redis.password\n"

    def __init__(self):
        super().__init__()
        pathlib.Path("/etc/quiesced/redis.password").write_text(self.password + "\n", encoding="utf-8")


class SQLite:
    """A database with a write-ahead log."""

    hook = "sqlite"

    def __init__(self):
        self.filesystems = [Filesystem("sqlite", 512)]
        self.database = self.filesystems[0].path / "app.db"
        self.settings = f"DATABASES={self.database}\n"
        self.connection = None
        self.difference = ""
        self.trap = None

    def start(self):
        """Make the database of a user. The user's sqlite3 answers by itself."""
        run("useradd", "--create-home", "app")
        run("chown", "app", self.filesystems[0].path)
        run("setpriv", "--reuid=app", "--regid=app", "--clear-groups", "sqlite3", self.database,
            "PRAGMA journal_mode = WAL; CREATE TABLE numbered (number INTEGER PRIMARY KEY, filler TEXT);")
        self.trap = Trap(pathlib.Path("/home/app/.sqliterc"),
                         ".shell touch {sign}\n.print 2000\n.print wal\n.print 0|7|7\n.exit\n")

    def require_hook(self):
        """Further requirements on a backup with the hook."""
        self.trap.require_unsprung()

    def connect(self):
        """A connection that writes rows. Its checkpoints are left to the hook."""
        self.connection = sqlite3.connect(self.database, isolation_level=None, timeout=60, check_same_thread=False)
        self.connection.execute("PRAGMA synchronous = FULL")
        self.connection.execute("PRAGMA wal_autocheckpoint = 0")
        return lambda number: self.connection.execute("INSERT INTO numbered VALUES (?, ?)", (number, "x" * 200))

    def open(self, copy):
        """Recovers it, and gives its rows."""
        database = copy.paths[0] / "app.db"
        connection = sqlite3.connect(database)
        pages = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
        if (verdict := connection.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            raise Failed(f"PRAGMA integrity_check: {verdict}")
        rows = [row[0] for row in connection.execute("SELECT number FROM numbered ORDER BY number")]
        connection.close()
        self.difference = f"{pages} pages were still in the log"
        return rows

    def stop(self):
        """Only the client has it open."""
        if self.connection:
            self.connection.close()


ALL = {"postgresql": PostgreSQL, "mariadb": MariaDB, "mysql": MySQL, "galera": Galera, "redis": Redis,
       "redis-aof": RedisWithAppendOnlyFile, "sqlite": SQLite}
