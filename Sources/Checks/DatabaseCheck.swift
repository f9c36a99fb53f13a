import FreezeCore
import Glibc
import Hooks
import LinuxCalls
import Presentation
import SystemPackage

/// No database server of this machine runs without a hook.
enum DatabaseCheck {
    static let name = "databases"

    /// A server that a shipped hook is for.
    struct Server {
        let title: String
        /// As ps shows them.
        let processes: [String]
        /// Of the distributions' packages, besides root.
        let accounts: [String]
        /// Plain names of the hooks that serve it; the first is the best.
        let hooks: [String]
    }

    static let servers = [
        Server(
            title: "PostgreSQL", processes: ["postgres", "postmaster"], accounts: ["postgres"],
            hooks: ["postgresql"]),
        Server(title: "MariaDB", processes: ["mariadbd"], accounts: ["mysql"], hooks: ["mariadb", "mysql"]),
        Server(title: "MySQL", processes: ["mysqld"], accounts: ["mysql"], hooks: ["mysql", "mariadb"]),
        Server(title: "Redis", processes: ["redis-server"], accounts: ["redis", "valkey"], hooks: ["redis"]),
        Server(title: "Valkey", processes: ["valkey-server"], accounts: ["redis", "valkey"], hooks: ["redis"]),
    ]

    static func findings(_ subject: CheckSubject) -> [Finding] {
        // HookCheck tells of hooks that cannot be listed.
        guard let hooks = try? HookSources(subject.configuration).scan() else { return [] }
        return findings(ProcessTable(subject.proc), hooks)
    }

    /// - Parameter user: The id of an account; nil if there is none.
    static func findings(
        _ table: ProcessTable, _ hooks: [HookCandidate], user: (String) -> uid_t? = userID
    ) -> [Finding] {
        guard let home = table.process(1).pidNamespace else {
            return [
                Finding(
                    name, .warning,
                    "The pid namespace of process 1 cannot be read, so servers of this machine are not looked for.",
                    nextStep: "Run `quiescectl check` on the machine itself, not in a container.")
            ]
        }
        let running = running(table, in: home, user)
        guard !running.isEmpty else {
            return [
                Finding(name, .ok, "No database server of this machine is running that a shipped hook is for.")
            ]
        }
        let warnings = running.compactMap { server, process -> Finding? in
            let own = hooks.filter { $0.hook.style == .quiesce && server.hooks.contains($0.hook.plainName) }
            if own.contains(where: { $0.verdict == .trusted }) { return nil }
            return Finding(
                name, .warning,
                "\(process) is running, and no hook for \(server.title) is enabled: backups do nothing for the server.",
                nextStep: own.first.map { "Correct hook \($0.hook.name), which is refused." }
                    ?? "Run `quiescectl hooks enable \(server.hooks[0])`.")
        }
        let covered = running.count - warnings.count
        guard covered > 0 else { return warnings }
        return [
            Finding(
                name, .ok, "\(counted(covered, "database server has", plural: "database servers have")) a hook.")
        ] + warnings
    }

    /// The servers of this machine, as the hooks find them (hooks/lib/own-servers): a process of root or of a package's
    /// account, in the pid namespace of process 1, and in no container's cgroup. Any user can give a process a server's
    /// name, and start a setuid program by it. One process of each server.
    private static func running(
        _ table: ProcessTable, in home: FilePath, _ user: (String) -> uid_t?
    ) -> [(server: Server, process: ProcessTable.Process)] {
        let candidates = table.processes.compactMap {
            process -> (server: Server, process: ProcessTable.Process)? in
            let name = process.name
            return servers.first { $0.processes.contains(name) }.map { ($0, process) }
        }
        return servers.compactMap { server in
            let users = Set([0] + server.accounts.compactMap(user))
            return candidates.first { candidate, process in
                candidate.title == server.title && process.realUser.map(users.contains) == true
                    && process.pidNamespace == home && !process.isInContainer && !process.isSetuid
                    && !isSentinel(process)
            }
        }
    }

    /// Sentinels of Redis and Valkey have no data. A Sentinel shows `redis-server *:26379 [sentinel]`, or the option that it
    /// was started with (src/server.c: checkForSentinelMode).
    private static func isSentinel(_ process: ProcessTable.Process) -> Bool {
        process.commandLine.contains { $0 == "--sentinel" || $0.contains("[sentinel]") }
    }

    /// Blocks as getpwnam(3) does, which may ask the network.
    private static func userID(of account: String) -> uid_t? { getpwnam(account)?.pointee.pw_uid }
}
