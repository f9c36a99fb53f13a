import FoundationEssentials
import FreezeCore
import Glibc
import Hooks
import LinuxCalls
import SystemPackage
import Testing

@testable import Checks

/// Whether a database server of this machine is left without a hook.
@Suite struct DatabaseCheckTests {
    private let fixture: CheckFixture

    init() throws {
        fixture = try CheckFixture()
        try addProcess(1, "systemd", user: 0)
    }

    private func addProcess(
        _ process: Int, _ name: String, user: Int, namespace: Int = 4_026_531_836,
        cgroup: String = "0::/system.slice/db.service", isSetuid: Bool = false, commandLine: String = ""
    ) throws {
        try fixture.write("proc/\(process)/cmdline", commandLine)
        try fixture.write("proc/\(process)/comm", name)
        try fixture.write("proc/\(process)/status", "Name:\t\(name)\nUid:\t\(user)\t0\t0\t0\nGid:\t0\t0\t0\t0")
        try fixture.write("proc/\(process)/cgroup", cgroup)
        try fixture.makeDirectory(fixture.root.appending("proc/\(process)/ns"))
        try link("proc/\(process)/ns/pid", to: "pid:[\(namespace)]")
        try fixture.write("programs/\(process)", "", mode: isSetuid ? 0o4755 : 0o755)
        try link("proc/\(process)/exe", to: fixture.root.appending("programs/\(process)").string)
    }

    private func link(_ path: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(
            atPath: fixture.root.appending(path).string, withDestinationPath: target)
    }

    private func findings(_ hooks: HookCandidate...) -> [Finding] {
        DatabaseCheck.findings(ProcessTable(fixture.root.appending("proc")), hooks) { account in
            ["postgres": 101, "mysql": 102, "redis": 103][account]
        }
    }

    private func hook(_ name: String, style: HookStyle = .quiesce, refused reason: String? = nil) -> HookCandidate
    {
        HookCandidate(
            hook: Hook(
                name: name, path: FilePath("/h").appending(name), kind: HookKind(hookName: name), style: style),
            verdict: reason.map { .refused(reason: $0) } ?? .trusted)
    }

    @Test(arguments: [
        ("postgres", 101, "postgresql"), ("mariadbd", 102, "mariadb"), ("mysqld", 102, "mysql"),
        ("redis-server", 103, "redis"), ("valkey-server", 103, "redis"), ("postgres", 0, "postgresql"),
        ("postmaster", 101, "postgresql"),
    ])
    func `a server without a hook is named, with the command that enables the hook`(
        process: String, user: Int, hook: String
    ) throws {
        try addProcess(812, process, user: user)
        try addProcess(813, process, user: user)
        let findings = findings(self.hook("50-myapp"))
        #expect(findings.verdicts == [.warning])
        #expect(findings[0].statement.hasPrefix("\(process) (process 812) is running, and no hook for "))
        #expect(findings[0].nextStep == "Run `quiescectl hooks enable \(hook)`.")
    }

    @Test func `a trusted hook of the plain name covers the server, whatever its number and kind`() throws {
        try addProcess(812, "postgres", user: 101)
        try addProcess(813, "mariadbd", user: 102)
        #expect(findings(hook("70-postgresql"), hook("60-mysql.session")).verdicts == [.ok])
        #expect(findings(hook("70-postgresql")).verdicts == [.ok, .warning])
        // Of another agent: that one need not do what quiesce's does.
        #expect(
            findings(hook("70-postgresql", style: .qemu), hook("60-mariadb.session")).verdicts == [.ok, .warning])
        let refused = findings(hook("50-postgresql", refused: "writable"), hook("60-mariadb.session"))
        #expect(refused.verdicts == [.ok, .warning])
        #expect(refused[1].nextStep == "Correct hook 50-postgresql, which is refused.")
    }

    @Test func `a process that is no server of this machine is ignored`() throws {
        // Another user's, a setuid program's, of a container with and without a pid namespace of its own.
        try addProcess(812, "postgres", user: 1000)
        try addProcess(813, "postgres", user: 0, isSetuid: true)
        try addProcess(814, "mariadbd", user: 102, namespace: 4_026_532_000)
        try addProcess(815, "redis-server", user: 0, cgroup: "0::/system.slice/docker-\(Self.id).scope")
        try addProcess(816, "postgresx", user: 101)
        #expect(findings().verdicts == [.ok])
    }

    @Test(arguments: ["redis-server *:26379 [sentinel]\0", "redis-server\0/etc/s.conf\0--sentinel\0"])
    func `a Sentinel has no data, and hides no server that has`(commandLine: String) throws {
        try addProcess(812, "redis-server", user: 103, commandLine: commandLine)
        #expect(findings().verdicts == [.ok])
        try addProcess(813, "redis-server", user: 103, commandLine: "redis-server 127.0.0.1:6379\0")
        #expect(findings().verdicts == [.warning])
        #expect(findings().text.contains("process 813"))
    }

    private static let id = String(repeating: "0123456789abcdef", count: 4)

    /// Lines of /proc/PID/cgroup, and whether the cgroup is a container's.
    private static let cgroups = [
        ("0::/", false), ("0::/system.slice/postgresql@15-main.service", false),
        ("0::/user.slice/user-0.slice/session-1.scope", false), ("0::/system.slice/docker.service", false),
        ("0::/system.slice/docker-redis.service", false), ("0::/system.slice/lxc-monitor.service", false),
        ("0::/docker/0123abc", true), ("0::/system.slice/docker-\(id).scope", true),
        ("4:memory:/docker/0123", true), ("0::/machine.slice/libpod-\(id).scope/container", true),
        ("0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-\(id).scope", true),
        ("0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-\(id).scope", true),
        ("0::/kubepods/besteffort/pod1/0123", true), ("0::/system.slice/crio-\(id).scope", true),
        ("0::/lxc.payload.web/system.slice/mariadb.service", true), ("0::/lxc/web", true),
        ("0::/machine.slice/systemd-nspawn@web.service/payload", true), ("0::/dockery/a", false),
        ("0::/machine.slicer", false), ("0::/mylxc/a", false), ("0::/a-docker-b", false), ("", false),
        ("0::/system.slice/\(id.dropLast()).scope", false),
    ]

    @Test(arguments: cgroups)
    func `a container is recognised by its cgroup`(line: String, isContainers: Bool) {
        #expect(ProcessTable.Process.isOfContainer(line[...]) == isContainers)
    }

    @Test func `the shipped hooks recognise the same containers`() throws {
        let hooks = Repository.root.appending("hooks/lib/own-servers")
        for (line, isContainers) in Self.cgroups {
            let script = ". '\(hooks)'; printf '%s\\n' '\(line)' | grep -qE \"$containers\""
            let status = try #require(run("/bin/sh", ["-c", script]))
            #expect((status == 0) == isContainers, "\(line)")
        }
    }

    /// A machine of its own: process 1 is the shell. It has a server, and a container with another one.
    @Test(.needsRoot(toTest: "a database server of this machine"))
    func `a running server is found, and the server of a container is not`() throws {
        for name in ["valkey-server", "redis-server"] {
            // A program of that name does.
            try FileManager.default.copyItem(
                atPath: "/bin/sleep", toPath: fixture.root.appending(name).string)
        }
        let script = """
            cd '\(fixture.root)'
            unshare --pid --fork --kill-child ./redis-server 1000 &
            ./valkey-server 1000 &
            wait
            """
        let machine = try #require(
            start(
                "/usr/bin/unshare", ["--pid", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c", script]))
        defer {
            kill(machine, SIGKILL)
            waitpid(machine, nil, 0)
        }
        let deadline = ContinuousClock.now + .seconds(20)
        var names: Set<String> = []
        var table = ProcessTable("/nowhere")
        while !names.isSuperset(of: ["valkey-server", "redis-server"]), ContinuousClock.now < deadline {
            let children = try? readWholeFile(FilePath("/proc/\(machine)/task/\(machine)/children"))
            let first = String(decoding: children ?? [], as: UTF8.self).split(separator: " ").first ?? ""
            table = ProcessTable(FilePath("/proc/\(first)/root/proc"))
            names = Set(table.processes.map(\.name))
            usleep(10_000)
        }
        let findings = DatabaseCheck.findings(table, [])
        #expect(findings.verdicts == [.warning], "\(findings) of \(names)")
        #expect(findings.text.contains("valkey-server (process "))
        #expect(findings.text.contains("quiescectl hooks enable redis"))
        #expect(DatabaseCheck.findings(table, [hook("50-redis")]).verdicts == [.ok])
    }

    @Test func `without a look at process 1 nothing is said of servers`() throws {
        try addProcess(812, "postgres", user: 101)
        try FileManager.default.removeItem(atPath: fixture.root.appending("proc/1/ns/pid").string)
        let findings = findings()
        #expect(findings.verdicts == [.warning] && findings.text.contains("pid namespace of process 1"))
    }

    private func start(_ program: String, _ arguments: [String]) -> pid_t? {
        var pointers = ([program] + arguments).map { strdup($0) } + [nil]
        defer { pointers.forEach { free($0) } }
        var process = pid_t()
        return posix_spawn(&process, program, nil, nil, &pointers, environ) == 0 ? process : nil
    }

    /// - Returns: Its exit status.
    private func run(_ program: String, _ arguments: [String]) -> CInt? {
        guard let process = start(program, arguments) else { return nil }
        var status: CInt = 0
        guard waitpid(process, &status, 0) == process, status & 0x7F == 0 else { return nil }
        return status >> 8 & 0xFF
    }
}
