import Channels
import Foundation
import SystemPackage
import Testing

/// What the shipped hooks do about several servers. The programs that they call are stand-ins; Tests/Databases and
/// Tests/VM have the real ones.
extension EndToEnd {
    @Suite struct ShippedHookTests {
        private static let library: FilePath = "/quiesce/share/quiesced/hooks/lib/own-servers"
        private static let log = "/tmp/mariadb-log"

        private let rig: DaemonRig

        init() throws {
            rig = try DaemonRig(isStarted: false)
        }

        // MARK: Which servers

        @Test(arguments: [
            ("12:pids:/docker/\(id)", true), ("0::/system.slice/docker-\(id).scope", true),
            ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/docker-\(id).scope", true),
            ("0::/machine.slice/libpod-\(id).scope/container", true), ("0::/libpod_parent/libpod-\(id)", true),
            ("0::/system.slice/web.service/libpod-payload-\(id)", true), ("0::/mine/\(id)", true),
            ("1:name=systemd:/kubepods/besteffort/pod1b2c/\(id)", true),
            ("0::/kubepods.slice/kubepods-pod1b2c.slice/cri-containerd-\(id).scope", true),
            ("0::/kubelet.slice/kubelet-kubepods.slice/crio-\(id).scope", true),
            ("0::/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:\(id)", true),
            ("0::/lxc/100/ns/system.slice/redis.service", true), ("0::/lxc.payload.web/init.scope", true),
            ("0::/machine.slice/systemd-nspawn@web.service/payload/system.slice/redis.service", true),
            ("0::/machine.slice/machine-lxc\\x2d1\\x2dweb.scope", true), ("4:cpu:/machine/web.libvirt-lxc", true),
            ("0::/system.slice/redis-server.service", false), ("0::/system.slice/docker-redis.service", false),
            ("0::/system.slice/docker.service", false), ("0::/system.slice/lxc.service", false),
            ("0::/lxc.monitor.web", false), ("0::/system.slice/machine.slice.service", false),
            ("0::/system.slice/system-postgresql.slice/postgresql@15-main.service", false), ("0::/", false),
            ("0::/user.slice/user-0.slice/session-3.scope", false),
        ])
        func `a container is known by its cgroup`(cgroup: String, isContainer: Bool) throws {
            let run = try RunningProgram.run(
                "sh", ["-c", ". \(Self.library); printf '%s\\n' \"$1\" | grep -qE \"$containers\"", "sh", cgroup])
            #expect(run.ending == .exited(isContainer ? 0 : 1))
        }

        private static let id = String(repeating: "0123456789abcdef", count: 4)

        @Test(arguments: [
            ("7f000001", "127.0.0.1"), ("00000000", "127.0.0.1"), ("7f010203", "127.1.2.3"),
            ("00000000000000000000000000000000", "::1"), ("00000000000000000000000000000001", "::1"),
            ("00000000000000000000ffff7f000001", "127.0.0.1"),
        ])
        func `where a server listens is found`(address: String, shown: String) throws {
            let socket = "/tmp/where it listens"
            unlink(socket)
            let server = try RunningProgram(
                "perl",
                [
                    "-e",
                    """
                    $| = 1; my $ip = pack("H*", shift); my $four = length($ip) == 4;
                    my $name = $four ? pack("Sna4x8", 2, 0, $ip) : pack("SnNa16N", 10, 0, 0, $ip, 0);
                    socket(S, $four ? 2 : 10, 1, 0) and bind(S, $name) and listen(S, 5) or die $!;
                    socket(U, 1, 1, 0) and bind(U, pack("Sa108", 1, shift)) and listen(U, 5) or die $!;
                    print +(unpack("Sn", getsockname(S)))[1], "\\n"; sleep 1000
                    """, address, socket,
                ])
            let port = try server.waitForLine(in: .output) { UInt16($0) != nil }
            let found = try RunningProgram.output(
                of: "sh", ["-c", ". \(Self.library); listening \(server.processIdentifier)"])
            #expect(found.split(separator: "\n") == ["\(socket)", "\(shown):\(port)"])
            server.send(SIGKILL)
            try server.waitForExit()
        }

        @Test func `a child of a server is not a server`() throws {
            let parent = try RunningProgram(
                "perl", ["-e", "$0 = 'redis-server'; fork; print \"forked\\n\"; sleep 1000"])
            try wait(for: "a child") {
                try RunningProgram.run("pgrep", ["-P", "\(parent.processIdentifier)"]).ending == .exited(0)
            }
            let found = try RunningProgram.output(
                of: "sh", ["-c", ". \(Self.library); own_servers redis-server 0"])
            #expect(found.split(separator: "\n") == ["\(parent.processIdentifier)"])
            kill(-parent.processIdentifier, SIGKILL)
            try parent.waitForExit()
        }

        @Test(arguments: [
            ("redis-server *:26379 [sentinel]", true), ("--sentinel", true), ("--sentinels", false), ("", false),
        ])
        func `a Sentinel of Redis has no data, and a server is never taken for a Sentinel`(
            argument: String, isSentinel: Bool
        ) throws {
            let program: FilePath = "/tmp/redis-server"
            try RunningProgram.output(of: "cp", ["/bin/sh", program.string])
            let server = try RunningProgram(
                program, ["-c", "echo ready; read line; exit", "/etc/s.conf", argument])
            _ = try server.waitForLine(in: .output) { $0 == "ready" }
            let hook = try RunningProgram.run("/quiesce/share/quiesced/hooks/50-redis", ["freeze"])
            #expect(hook.ending == .exited(isSentinel ? 0 : 1), "\(hook)")
            #expect(hook.output.contains(isSentinel ? "SKIP " : "a server is running, "), "\(hook)")
            server.send(SIGKILL)
            try server.waitForExit()
            unlink(program.string)
        }

        // MARK: Several servers of MariaDB

        /// A client that answers as a server would, and writes down what it is told. `a` has its data in /tmp/db-a.
        /// The file /tmp/refuse-a makes its next lock time out.
        private static let client = """
            socket= statement=
            for each; do
                case $each in --socket=*) socket=${each#*=} ;; --execute=*) statement=${each#*=} ;; esac
            done
            name=$(basename "$socket" .sock)
            say() { echo "$name $*" >>\(log); }
            case $statement in
            "") ;;
            *VERSION*)
                printf 'version\\t10.11.0-MariaDB\\ndatadir\\t/tmp/db-%s/\\n' "$name"
                if [ -e /tmp/galera ]; then printf 'wsrep_on\\tON\\nwsrep_desync\\t%s\\n' "$(cat /tmp/galera)"; fi
                exit ;;
            *PROCESSLIST*) echo "connection 5 of app, for 9 s: SELECT 1"; exit ;;
            *)
                say "$statement"
                if [ -e /tmp/refuse-desync ]; then echo "ERROR 1227 (42000): Access denied"; exit 1; fi
                exit ;;
            esac
            trap 'say ended' EXIT
            trap 'exit 1' TERM
            while read -r line; do
                case $line in *held*) say "hold, $line" ;; *) say "${line%;*}" ;; esac
                if [ -e /tmp/refuse-$name ]; then
                    if [ ! -s /tmp/refuse-$name ]; then rm /tmp/refuse-$name; fi
                    echo "ERROR 1205 (HY000) at line 1: Lock wait timeout exceeded; try restarting transaction"
                    exit 1
                fi
                printf '%s\\t7\\n' "$(echo "$line" | sed "s/.*SELECT '\\([a-z]*\\)'.*/\\1/")"
            done
            """

        private func told() throws -> [Substring] {
            try String(contentsOfFile: Self.log, encoding: .utf8).split(separator: "\n")
        }

        /// Two servers, `a` and `b`, that run while the body does.
        private func withTwoServers(_ settings: String, _ body: ([pid_t]) throws -> Void) throws {
            #expect(try rig.control("hooks", "enable", "mariadb").ending == .exited(0))
            try set(settings)
            try RunningProgram.output(
                of: "sh",
                [
                    "-c",
                    """
                    cd /tmp; rm -f refuse-* galera mariadb-log; cp /bin/sleep mariadbd; mkdir -p db-a db-b /run/mysqld
                    mkdir -p /usr/local/bin; rm -f /run/mysqld/*
                    """,
                ])
            try Data("#!/bin/sh\n\(Self.client)\n".utf8).write(to: URL(fileURLWithPath: "/usr/local/bin/mariadb"))
            try RunningProgram.output(of: "chmod", ["755", "/usr/local/bin/mariadb"])
            defer { unlink("/usr/local/bin/mariadb") }
            let servers = try ["a", "b"].map { name in
                try RunningProgram(
                    "perl",
                    [
                        "-e",
                        """
                        socket(S, 1, 1, 0) and bind(S, pack("Sa108", 1, "/run/mysqld/\(name).sock")) or die;
                        listen(S, 5) and chdir "/tmp/db-\(name)" or die;
                        fcntl(S, 2, 0); exec "/tmp/mariadbd", "1000"
                        """,
                    ])
            }
            try wait(for: "both servers") {
                try RunningProgram.run("pgrep", ["-c", "-x", "mariadbd"]).output.hasPrefix("2")
            }
            defer {
                for server in servers {
                    server.send(SIGKILL)
                    _ = try? server.waitForExit()
                }
            }
            try body(servers.map(\.processIdentifier))
        }

        private func set(_ settings: String) throws {
            let file = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d/mariadb")
            try Data("\(settings)\n".utf8).write(to: URL(fileURLWithPath: file.string))
        }

        private func rehearse() throws -> (ending: RunningProgram.Ending, output: String, errors: String) {
            try rig.control("hooks", "run", "60-mariadb.session")
        }

        @Test func `every running server of MariaDB is held, or the hook fails`() throws {
            try withTwoServers("") { servers in
                let both = try rehearse()
                #expect(both.ending == .exited(0), "\(both)")
                for name in ["a", "b"] {
                    #expect(both.output.contains("/run/mysqld/\(name).sock: released"), "\(both)")
                    // The server ends no connection of the hook's in the window, and makes its clients wait briefly.
                    #expect(
                        try told().contains {
                            $0.hasPrefix("\(name) hold, SET SESSION wait_timeout = 86400, lock_wait_timeout = 1,")
                        })
                }
                try set("SOCKET=/run/mysqld/a.sock")
                let one = try rehearse()
                #expect(one.ending == .exited(1), "\(one)")
                for words in ["process \(servers[1])", "/run/mysqld/b.sock", "SOCKET"] {
                    #expect(one.output.contains(words), "\(one)")
                }
                #expect(!one.output.contains("process \(servers[0])"))
            }
        }

        @Test func `no server is held while another one keeps the backup waiting`() throws {
            try withTwoServers("") { _ in
                try RunningProgram.output(of: "touch", ["/tmp/refuse-b"])
                let run = try rehearse()
                #expect(run.ending == .exited(0), "\(run)")
                let ofA = try told().filter { $0.hasPrefix("a ") }.map { $0.prefix(6) }
                #expect(ofA == ["a hold", "a ende", "a hold", "a BACK", "a ende"], "\(ofA)")
            }
        }

        @Test func `a query that is in the way until the end is named`() throws {
            try RunningProgram.output(of: "rm", ["-f", "/tmp/refuse-a"])
            let rig = try DaemonRig(configuration: ["hooks": "timeout = \"6s\""], isStarted: false)
            try withTwoServers("") { _ in
                #expect(try rig.control("hooks", "enable", "mariadb").ending == .exited(0))
                try Data("for ever".utf8).write(to: URL(fileURLWithPath: "/tmp/refuse-a"))
                let run = try rig.control("hooks", "run", "60-mariadb.session")
                #expect(run.ending == .exited(1), "\(run)")
                #expect(
                    run.output.contains(
                        "Longest query at /run/mysqld/a.sock: connection 5 of app, for 9 s: SELECT 1"), "\(run)")
                #expect(try told().last?.hasSuffix("ended") == true)
            }
        }

        @Test func `P3 one lock of several that is lost in the window fails the backup`() throws {
            try withTwoServers("") { _ in
                let rig = try DaemonRig()
                #expect(try rig.control("hooks", "enable", "mariadb").ending == .exited(0))
                #expect(try rig.freeze().status == .success)
                try RunningProgram.output(of: "pkill", ["-f", "/usr/local/bin/mariadb .*b.sock"])
                try wait(for: "a thaw") { try !FreezeProof.isFrozen("/") }
                #expect(try rig.thaw().status != .success)
                // The other server is let go of, too.
                try wait(for: "the end of both clients") {
                    try told().filter { $0.hasSuffix(" ended") }.count == 2
                }
            }
        }

        // MARK: Galera

        @Test func `a node of Galera is desynced while it is held`() throws {
            try withTwoServers("") { _ in
                try Data("OFF\n".utf8).write(to: URL(fileURLWithPath: "/tmp/galera"))
                #expect(try rehearse().ending == .exited(0))
                let ofA = try told().filter { $0.hasPrefix("a ") }
                #expect(
                    ofA.map { $0.prefix(12) } == [
                        "a SET GLOBAL", "a hold, SET ", "a BACKUP STA", "a ended", "a SET GLOBAL",
                    ])
                #expect(ofA.first?.hasSuffix("wsrep_desync = ON") == true)
                #expect(ofA.last?.hasSuffix("wsrep_desync = OFF") == true)
                // A node that is desynced already stays so, unless a hook that was killed has left it so.
                for (isLeft, count) in [(false, 0), (true, 2)] {
                    try Data("ON\n".utf8).write(to: URL(fileURLWithPath: "/tmp/galera"))
                    unlink(Self.log)
                    let left = "/run/quiesce-60-mariadb.session.desynced"
                    if isLeft { try Data("/run/mysqld/a.sock\n".utf8).write(to: URL(fileURLWithPath: left)) }
                    #expect(try rehearse().ending == .exited(0))
                    #expect(try told().filter { $0.contains("wsrep_desync") }.count == count)
                    #expect(!FileManager.default.fileExists(atPath: left))
                }
            }
        }

        @Test func `a hook that is terminated lets go of all servers, and syncs the node`() throws {
            try withTwoServers("") { _ in
                try Data("OFF\n".utf8).write(to: URL(fileURLWithPath: "/tmp/galera"))
                let hook = try RunningProgram(
                    "/quiesce/share/quiesced/hooks/60-mariadb.session", ["session"],
                    environment: ["PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
                _ = try hook.waitForLine(in: .output) { $0 == "READY" }
                kill(hook.processIdentifier, SIGTERM)
                try hook.waitForExit()
                let lines = try told()
                #expect(lines.filter { $0.hasSuffix(" ended") }.count == 2)
                #expect(lines.suffix(2).allSatisfy { $0.hasSuffix("wsrep_desync = OFF") }, "\(lines)")
            }
        }

        @Test func `a node of Galera that cannot be desynced is held with a warning`() throws {
            try withTwoServers("") { _ in
                try Data("OFF\n".utf8).write(to: URL(fileURLWithPath: "/tmp/galera"))
                try RunningProgram.output(of: "touch", ["/tmp/refuse-desync"])
                let run = try rehearse()
                #expect(run.ending == .exited(0), "\(run)")
                #expect(
                    run.output.contains("warning: /run/mysqld/a.sock: wsrep_desync cannot be set")
                        && run.output.contains("Access denied"), "\(run)")
            }
        }

        // MARK: systemd

        @Test func `without systemd the hook for its units fails`() throws {
            #expect(try rig.control("hooks", "enable", "systemd-units").ending == .exited(0))
            let file = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d/systemd-units")
            try Data("UNITS=some.service\n".utf8).write(to: URL(fileURLWithPath: file.string))
            let run = try rig.control("hooks", "run", "30-systemd-units")
            #expect(run.ending == .exited(1) && run.output.contains("systemd does not answer"), "\(run)")
        }
    }
}
