import Foundation
import SystemPackage
import Testing

/// A user attacks the shipped hooks. The programs called by the hooks are stand-ins; Tests/Databases attacks the
/// real programs.
extension EndToEnd {
    @Suite struct ShippedHookAttackTests {
        private static let user = "65534"
        private static let programs: FilePath = "/usr/local/bin"

        private let rig: DaemonRig

        init() throws {
            rig = try DaemonRig(isStarted: false)
        }

        private func enable(_ name: String, _ settings: String = "") throws {
            #expect(try rig.control("hooks", "enable", name).ending == .exited(0))
            try set(name, settings)
        }

        private func set(_ name: String, _ settings: String) throws {
            let file = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d").appending(name)
            try Data("\(settings)\n".utf8).write(to: URL(fileURLWithPath: file.string))
        }

        /// Puts a program into the search path of the hooks while the body runs.
        private func with(_ name: String, _ script: String, _ body: () throws -> Void) throws {
            let path = Self.programs.appending(name).string
            try RunningProgram.output(of: "mkdir", ["-p", Self.programs.string])
            try Data("#!/bin/sh\n\(script)\n".utf8).write(to: URL(fileURLWithPath: path))
            try RunningProgram.output(of: "chmod", ["755", path])
            defer { unlink(path) }
            try body()
        }

        /// - Parameter unsharing: options of unshare(1), for namespaces of the process's own.
        private func process(_ name: String, of user: String, unsharing: [String] = []) throws -> RunningProgram {
            let program = FilePath("/tmp").appending(name).string
            try RunningProgram.output(of: "cp", ["--remove-destination", "/bin/sleep", program])
            let process = try RunningProgram(
                "unshare",
                unsharing + ["setpriv", "--reuid=\(user)", "--regid=\(user)", "--clear-groups", program, "1000"])
            try wait(for: "a process \(name)") {
                try RunningProgram.run("pgrep", ["-x", name]).ending == .exited(0)
            }
            return process
        }

        /// A socket that nobody listens at any more.
        private func makeSocket(_ path: FilePath, of user: String) throws {
            try RunningProgram.output(of: "mkdir", ["-p", path.removingLastComponent().string])
            unlink(path.string)
            try RunningProgram.output(
                of: "perl",
                [
                    "-e", "socket(S, 1, 1, 0) and bind(S, pack('Sa108', 1, shift)) or die $!",
                    path.string,
                ])
            try RunningProgram.output(of: "chown", [user, path.string])
        }

        @Test(arguments: [
            ("postgresql", "50-postgresql", "postgres"), ("redis", "50-redis", "redis-server"),
            ("mariadb", "60-mariadb.session", "mariadbd"), ("mysql", "60-mysql.session", "mysqld"),
        ])
        func `a user who gives a process the name of a server prevents no backup`(
            name: String, hook: String, server: String
        ) throws {
            try enable(name)
            let users = try process(server, of: Self.user)
            let run = try rig.control("hooks", "run", hook)
            #expect(run.ending == .exited(0) && run.output.contains("SKIP"), "\(run)")
            // A process of a configured owner is not left out silently.
            try set(name, "OWNERS=\"no-such-account nobody\"")
            let owners = try rig.control("hooks", "run", hook)
            #expect(owners.ending == .exited(1) && owners.output.contains("a server is running"), "\(owners)")
            users.send(SIGKILL)
            try users.waitForExit()
            try set(name, "")
            // A unit of systemd has a mount namespace of its own, a container a pid namespace, too.
            for (unsharing, isOurs) in [
                ([], true), (["--mount"], true), (["--mount", "--pid", "--fork", "--kill-child"], false),
            ] {
                let roots = try process(server, of: "0", unsharing: unsharing)
                let run = try rig.control("hooks", "run", hook)
                #expect(run.ending == .exited(isOurs ? 1 : 0), "\(unsharing) \(run)")
                #expect(run.output.contains(isOurs ? "a server is running" : "SKIP"), "\(run)")
                roots.send(SIGKILL)
                try roots.waitForExit()
            }
        }

        /// A connection to 127.0.0.1 reaches a listener on any of these addresses, in hexadecimal digits.
        /// Addresses of IPv6 can stand for addresses of IPv4 (`::ffff:127.0.0.1`).
        @Test(arguments: [
            "7f000001", "00000000", "00000000000000000000ffff7f000001", "00000000000000000000ffff00000000",
            "00000000000000000000000000000000",
        ])
        func `redis's password is not sent to a user who listens in its place`(address: String) throws {
            let listener = try RunningProgram(
                "setpriv",
                [
                    "--reuid=\(Self.user)", "--regid=\(Self.user)", "--clear-groups", "perl", "-e",
                    """
                    $| = 1; my $ip = pack("H*", shift); my $four = length($ip) == 4;
                    my $name = $four ? pack("Sna4x8", 2, 0, $ip) : pack("SnNa16N", 10, 0, 0, $ip, 0);
                    socket(S, $four ? 2 : 10, 1, 0) and bind(S, $name) and listen(S, 5) or die $!;
                    print +(unpack("Sn", getsockname(S)))[1], "\\n"; sleep 1000
                    """, address,
                ])
            let port = try listener.waitForLine(in: .output) { UInt16($0) != nil }
            let (password, told) = ("/etc/redis.password", "/tmp/told")
            defer { try? FileManager.default.removeItem(atPath: told) }
            try Data("secret\n".utf8).write(to: URL(fileURLWithPath: password))
            let settings = "INSTANCES=127.0.0.1:\(port)\nPASSWORD_FILE=\(password)"
            try enable("redis", settings)
            try with("redis-cli", "cat >> \(told)") {
                let run = try rig.control("hooks", "run", "50-redis")
                #expect(run.ending == .exited(1), "\(run)")
                #expect(run.output.contains("user \(Self.user) listens there"), "\(run)")
                #expect(!FileManager.default.fileExists(atPath: told))
                // On another machine, the listener's owner is unknown.
                try set("redis", "INSTANCES=192.0.2.1:1\nPASSWORD_FILE=\(password)")
                let elsewhere = try rig.control("hooks", "run", "50-redis")
                #expect(elsewhere.ending == .exited(1) && elsewhere.output.contains("gets no password"))
                #expect(!FileManager.default.fileExists(atPath: told))
                // A configured owner gets the password.
                try set("redis", "\(settings)\nOWNERS=nobody")
                _ = try rig.control("hooks", "run", "50-redis")
                let sent = try String(contentsOfFile: told, encoding: .utf8)
                #expect(sent.contains("secret"))
            }
            listener.send(SIGKILL)
            try listener.waitForExit()
        }

        @Test func `a cluster of PostgreSQL whose configuration is another user's is not asked`() throws {
            let directory = "/etc/postgresql/15/main"
            try RunningProgram.output(of: "mkdir", ["-p", directory])
            try RunningProgram.output(of: "touch", ["\(directory)/postgresql.conf"])
            defer { _ = try? RunningProgram.output(of: "rm", ["-r", "/etc/postgresql"]) }
            try enable("postgresql")
            let asked = "/tmp/psql-asked"
            try with("psql", "touch \(asked)") {
                try with("runuser", "touch \(asked)") {
                    for (configuration, data) in [("nobody", "root"), ("root", "nobody"), ("root", "root")] {
                        try RunningProgram.output(of: "chown", ["-R", configuration, directory])
                        try with("pg_lsclusters", "echo 15 main 5432 online \(data) /data /log") {
                            let run = try rig.control("hooks", "run", "50-postgresql")
                            #expect(run.ending == .exited(1) && run.output.contains("Set CLUSTERS"), "\(run)")
                        }
                    }
                    #expect(!FileManager.default.fileExists(atPath: asked))
                    try RunningProgram.output(of: "chown", ["-R", "nobody", directory])
                    try with("pg_lsclusters", "echo 15 main 5432 online nobody /data /log") {
                        let run = try rig.control("hooks", "run", "50-postgresql")
                        #expect(run.ending == .exited(0), "\(run)")
                    }
                    #expect(FileManager.default.fileExists(atPath: asked))
                }
            }
        }

        @Test(arguments: [
            ("2000\\nwal\\n0 7 7\\n", 0, true), ("2000\\nwal\\n0 7 7\\nREADY\\n", 0, false),
            ("", 0, false), ("2000\\nwal\\n0 7 7\\n", 1, false), ("2000\\nwal\\n0 \\033[2J 7\\n", 0, false),
        ])
        func `output of sqlite3 counts only if it can be an answer`(
            answer: String, status: Int, isGood: Bool
        ) throws {
            let directory = "/mnt/sqlite"
            try RunningProgram.output(
                of: "sh", ["-c", "mkdir -p \(directory); touch \(directory)/app.db; chown -R nobody \(directory)"])
            try enable("sqlite", "DATABASES=\(directory)/app.db")
            let (arguments, user) = ("/tmp/sqlite-arguments", "/tmp/sqlite-user")
            try RunningProgram.output(
                of: "sh", ["-c", "touch \(arguments) \(user); chmod 666 \(arguments) \(user)"])
            try with("sqlite3", "echo \"$*\" >\(arguments); id -u >\(user); printf '\(answer)'; exit \(status)") {
                let run = try rig.control("hooks", "run", "50-sqlite")
                #expect(run.ending == .exited(isGood ? 0 : 1), "\(run)")
                #expect(run.output.contains("7 of 7") == isGood)
            }
            let given = try String(contentsOfFile: arguments, encoding: .utf8)
            #expect(given.hasPrefix("-init /dev/null "))
            #expect(try String(contentsOfFile: user, encoding: .utf8) == "\(Self.user)\n")
        }

        @Test func `sqlite3 is not run as root where a user can put something in the database's place`() throws {
            let home = "/mnt/sqlite-home"
            try RunningProgram.output(
                of: "sh",
                [
                    "-c",
                    """
                    mkdir -p \(home)/roots /etc/databases; touch \(home)/roots/app.db \(home)/users.db
                    chown nobody \(home) \(home)/users.db; ln -sf \(home)/users.db /etc/databases/linked.db
                    """,
                ])
            let user = "/tmp/sqlite-user-2"
            try RunningProgram.output(of: "sh", ["-c", ": >\(user); chmod 666 \(user)"])
            try enable("sqlite", "DATABASES=\(home)/roots/app.db")
            try with("sqlite3", "id -u >>\(user); printf '2000\\nwal\\n0 7 7\\n'") {
                let run = try rig.control("hooks", "run", "50-sqlite")
                #expect(run.ending == .exited(1) && run.output.contains("\(home): it is not root's"), "\(run)")
                try set("sqlite", "DATABASES=/etc/databases/linked.db")
                #expect(try rig.control("hooks", "run", "50-sqlite").ending == .exited(0))
            }
            #expect(try String(contentsOfFile: user, encoding: .utf8) == "\(Self.user)\n")
        }

        @Test func `a server of MariaDB gets no file of root's, and a user in its place no password`() throws {
            let (arguments, socket) = ("/tmp/mariadb-arguments", FilePath("/run/mysqld/mysqld.sock"))
            defer { unlink(socket.string) }
            try enable("mariadb", "DEFAULTS_FILE=/etc/mariadb-password")
            try with("mariadb", "echo \" $* \" >>\(arguments); exit 1") {
                #expect(
                    try rig.control("hooks", "run", "60-mariadb.session").output.contains("there is no socket"))
                try makeSocket(socket, of: Self.user)
                let refused = try rig.control("hooks", "run", "60-mariadb.session")
                #expect(refused.ending == .exited(1) && refused.output.contains("Set OWNERS"), "\(refused)")
                #expect(!FileManager.default.fileExists(atPath: arguments))
                try makeSocket(socket, of: "0")
                let run = try rig.control("hooks", "run", "60-mariadb.session")
                #expect(run.ending == .exited(1), "\(run)")
            }
            let calls = try String(contentsOfFile: arguments, encoding: .utf8).split(separator: "\n")
            #expect(!calls.isEmpty && calls.allSatisfy { $0.contains(" --loose-local-infile=0 ") }, "\(calls)")
        }
    }
}
