import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

/// Making, enabling and listing hooks, and calling them for other agents.
extension EndToEnd {
    @Suite struct HooksCommandTests {
        private static let shipped: FilePath = "/quiesce/share/quiesced/hooks"

        private func exists(_ path: FilePath) -> Bool { FileManager.default.fileExists(atPath: path.string) }

        // MARK: Enabling

        @Test func `a hook that comes with quiesce is enabled and disabled by its name`() throws {
            let rig = try DaemonRig(isStarted: false)
            let list = try rig.control("hooks", "enable")
            for name in ["mariadb", "mysql", "postgresql", "redis", "sqlite", "systemd-units"] {
                #expect(list.output.contains("\n\(name) "), "\(list)")
            }
            let enabled = try rig.control("hooks", "enable", "redis")
            #expect(enabled.ending == .exited(0), "\(enabled)")
            let link = rig.hookDirectory.appending("50-redis")
            #expect(
                try FileManager.default.destinationOfSymbolicLink(atPath: link.string)
                    == Self.shipped.appending("50-redis").string)
            let settings = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d/redis")
            #expect(exists(settings))
            #expect(enabled.output.contains("quiescectl hooks run 50-redis"))
            #expect(enabled.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
            let listed = try rig.control("hooks", "list")
            #expect(listed.output.contains("50-redis") && listed.output.contains("trusted"), "\(listed)")

            // What the admin has set stays, and once more changes nothing.
            try Data("INSTANCES=/nowhere\n".utf8).write(to: URL(fileURLWithPath: settings.string))
            let again = try rig.control("hooks", "enable", "redis", "--json")
            #expect(again.ending == .exited(0) && again.output.contains("\"changed\" : false"), "\(again)")
            #expect(try String(contentsOfFile: settings.string, encoding: .utf8) == "INSTANCES=/nowhere\n")

            #expect(try rig.control("hooks", "disable", "redis").ending == .exited(0))
            #expect(!exists(link) && exists(settings))
            let nothing = try rig.control("hooks", "disable", "redis")
            #expect(nothing.ending == .exited(0) && nothing.output.contains("not enabled"))
        }

        /// 50-sqlite only shortens recovery: a failure of it ends no request, unless an override says so.
        @Test(arguments: [("redis", "", true), ("sqlite", "", false), ("sqlite", "abort", true)])
        func `what a refused hook costs is said when it is enabled`(
            name: String, override: String, isFatal: Bool
        ) throws {
            let section = ["hooks.overrides.50-\(name)": "on_failure = \"\(override)\""]
            let rig = try DaemonRig(configuration: override.isEmpty ? [:] : section, isStarted: false)
            #expect(try rig.control("hooks", "enable", name).ending == .exited(0))
            let settings = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d").appending(name)
            try RunningProgram.output(of: "chmod", ["666", settings.string])
            let enabled = try rig.control("hooks", "enable", name)
            let text = enabled.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(text.contains("It is refused, which fails every backup: ") == isFatal, "\(enabled)")
            #expect(
                text.contains("It is refused, so a backup is filesystem-consistent at best: ") != isFatal,
                "\(enabled)")
        }

        @Test func `a hook of one's own is not replaced and not removed`() throws {
            let rig = try DaemonRig(hooks: ["50-redis": "exit 0", "70-postgresql": "exit 0"], isStarted: false)
            for name in ["redis", "postgresql"] {
                let enabled = try rig.control("hooks", "enable", name)
                #expect(enabled.ending == .exited(1) && enabled.errors.contains("of your own"), "\(enabled)")
            }
            #expect(try rig.control("hooks", "disable", "redis").ending == .exited(1))
            let unknown = try rig.control("hooks", "enable", "oracle")
            #expect(unknown.ending == .exited(2) && unknown.errors.contains("sqlite"), "\(unknown)")
        }

        @Test(arguments: ["mariadb", "mysql", "postgresql", "redis", "sqlite", "systemd-units"])
        func `without its program a hook that comes with quiesce skips the backup, and says why`(name: String)
            throws
        {
            let rig = try DaemonRig(isStarted: false)
            let enabled = try rig.control("hooks", "enable", name, "--json")
            let path = try #require(enabled.output.firstMatch(of: /"path" : "(.*)"/)).1
            let hook = try #require(FilePath(String(path)).lastComponent).string
            let run = try rig.control("hooks", "run", hook)
            #expect(run.ending == .exited(0) && run.output.contains("skipped"), "\(run)")
        }

        @Test func `new writes a template that fails until it is edited, and overwrites nothing`() throws {
            let rig = try DaemonRig(isStarted: false)
            for (arguments, name) in [(["50-myapp"], "50-myapp"), (["--session", "60-db"], "60-db.session")] {
                let new = try RunningProgram.run(
                    ScratchWorld.programs.appending("quiescectl"),
                    ["hooks", "new"] + arguments + ["--config", rig.configuration.string])
                #expect(new.ending == .exited(0), "\(new)")
                let template = try rig.control("hooks", "run", name)
                #expect(
                    template.ending == .exited(1) && template.output.contains("unedited template"), "\(template)")
                let path = rig.hookDirectory.appending(name).string
                try RunningProgram.output(of: "sed", ["-i", "s/^complete=no/complete=yes/", path])
                let run = try rig.control("hooks", "run", name)
                #expect(run.ending == .exited(0), "\(run)")
                let again = try rig.control("hooks", "new", name)
                #expect(again.ending == .exited(1) && again.errors.contains("Choose another name"), "\(again)")
            }
            for name in ["50-my app", "../50-myapp", "50-myapp.bak", ".50-myapp", "myapp", "5-myapp", "50myapp"] {
                #expect(try rig.control("hooks", "new", name).ending == .exited(2), "\(name)")
            }
        }

        @Test func `a rehearsal hides no failed thaw of a hook without work`() throws {
            let rig = try DaemonRig(
                hooks: ["50-app": "[ $1 = thaw ] && exit 3; echo SKIP nothing to do"], isStarted: false)
            let run = try rig.control("hooks", "run", "50-app")
            #expect(run.ending == .exited(1) && run.output.contains("exited with status 3"), "\(run)")
            #expect(run.output.contains("because of 50-app") && !run.output.contains("had no work"), "\(run)")
        }

        // MARK: Environment

        @Test func `a hook finds the variables of root's cron jobs, whoever has called quiescectl`() throws {
            let rig = try DaemonRig(
                hooks: ["50-app": "echo \"$1 $HOME $USER $LOGNAME $SHELL\" >> $TRACE"])
            let caller = ["HOME": "/home/alice", "USER": "alice", "LOGNAME": "alice", "SHELL": "/bin/zsh"]
            for arguments in [["hooks", "run", "50-app"], ["hooks", "freeze"], ["hooks", "thaw"]] {
                let run = try RunningProgram.run(
                    ScratchWorld.programs.appending("quiescectl"),
                    arguments + ["--config", rig.configuration.string], environment: caller)
                #expect(run.ending == .exited(0), "\(arguments): \(run)")
            }
            #expect(
                try rig.traced()
                    == ["freeze", "thaw", "freeze", "thaw"].map { "\($0) /root root root /bin/sh" })
        }

        // MARK: Settings

        @Test func `a hook is told where its settings are, and is refused if others can write to them`() throws {
            let rig = try DaemonRig(
                hooks: ["50-my-app": "echo \"settings $QUIESCE_HOOK_SETTINGS\""], isStarted: false)
            #expect(try rig.control("hooks", "run", "50-my-app").output.contains("settings \n"))
            let directory = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d")
            try RunningProgram.output(of: "mkdir", [directory.string])
            let settings = directory.appending("my-app")
            try RunningProgram.output(of: "touch", [settings.string])
            #expect(try rig.control("hooks", "run", "50-my-app").output.contains("settings \(settings)\n"))
            try RunningProgram.output(of: "chmod", ["666", settings.string])
            let refused = try rig.control("hooks", "run", "50-my-app")
            #expect(refused.ending == .exited(1) && refused.errors.contains("\(settings)"), "\(refused)")
        }

        // MARK: Imports

        private func install(
            _ name: String, in directory: FilePath, tracing trace: FilePath, _ script: String = ""
        )
            throws
        {
            let path = directory.appending(name).string
            try RunningProgram.output(of: "mkdir", ["-p", directory.string])
            try Data("#!/bin/sh\necho \"\(name) $*\" >> \(trace)\n\(script)\n".utf8).write(
                to: URL(fileURLWithPath: path))
            try RunningProgram.output(of: "chmod", ["755", path])
        }

        @Test func `QEMU's and VMware's hooks are called as those call them`() throws {
            let (qemu, vmware): (FilePath, FilePath) = (
                "/etc/import-1/fsfreeze-hook.d", "/etc/import-1/backupScripts.d"
            )
            let rig = try DaemonRig(
                configuration: ["hooks": Self.imports(qemu, vmware)],
                hooks: ["10-own": "echo \"own $1\" >> $TRACE"])
            try install("b", in: qemu, tracing: rig.trace)
            try install("a.session", in: qemu, tracing: rig.trace)
            try RunningProgram.output(of: "touch", [qemu.appending("README").string])
            try install("2", in: vmware, tracing: rig.trace)
            try install("1", in: vmware, tracing: rig.trace)
            try install("pre-freeze-script", in: "/usr/sbin", tracing: rig.trace)
            try install("post-thaw-script", in: "/usr/sbin", tracing: rig.trace)
            defer { for name in ["pre-freeze", "post-thaw"] { unlinkScript(name) } }
            let freezes = [
                "own freeze", "a.session freeze", "b freeze", "pre-freeze-script freeze", "1 freeze", "2 freeze",
            ]
            let thaws = ["2 thaw", "1 thaw", "post-thaw-script thaw", "b thaw", "a.session thaw", "own thaw"]
            #expect(try rig.freeze().status == .success)
            #expect(try rig.traced() == freezes)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(try rig.traced() == freezes + thaws)
            #expect(record.level == .application)
            #expect(record.hooks.prefix(3).map(\.name) == ["10-own", "qemu/a.session", "qemu/b"])

            // A script of VMware's that fails ends the backup; one of QEMU's does not.
            try install("b", in: qemu, tracing: rig.trace, "exit 1")
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record(number: 2).level == .filesystem)
            try install("2", in: vmware, tracing: rig.trace, "[ $1 != freeze ]")
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record(number: 3).reason?.contains("vmware/2 exited with status 1") == true)
            let last = try rig.traced().suffix(6)
            #expect(
                last == [
                    "2 freezeFail", "1 freezeFail", "post-thaw-script freezeFail", "b thaw", "a.session thaw",
                    "own thaw",
                ])
        }

        private func unlinkScript(_ name: String) { unlink("/usr/sbin/\(name)-script") }

        private static func imports(_ qemu: FilePath, _ vmware: FilePath) -> String {
            // The rig puts its own key behind it.
            """
            import = [
              { style = "qemu", directory = "\(qemu)" }, { style = "vmware", directory = "\(vmware)" },
            ]
            """
        }

        @Test func `P4 an imported hook that a crash left is called for thaw, by its own convention`() throws {
            let vmware: FilePath = "/etc/import-2/backupScripts.d"
            let rig = try DaemonRig(
                configuration: ["hooks": "import = [{ style = \"vmware\", directory = \"\(vmware)\" }]"])
            try install("1", in: vmware, tracing: rig.trace)
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            try rig.start()
            try rig.waitForTrace("1 freezeFail")
            #expect(try rig.thaw().status == .failure)
        }

        // MARK: For other agents

        private static func hooks() -> [String: String] {
            [
                "10-plain": HookFaultTests.hook("10", writingTo: ["/"]),
                "20-db.session": SessionHookTests.session("20"),
            ]
        }

        @Test func `hooks freeze holds what hooks thaw releases, and freezes nothing`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            let freeze = try rig.control("hooks", "freeze")
            #expect(freeze.ending == .exited(0), "\(freeze)")
            #expect(try rig.traced() == ["10 freeze", "20 session"])
            #expect(try !FreezeProof.isFrozen("/"))
            let process = try #require(pid_t(try RunningProgram.output(of: "cat", ["\(rig.trace).20"])))
            #expect(kill(process, 0) == 0)
            #expect(try rig.control("hooks", "freeze").ending == .exited(4))
            #expect(try rig.control("thaw").ending == .exited(1), "another's")
            let thaw = try rig.control("hooks", "thaw")
            #expect(thaw.ending == .exited(0), "\(thaw)")
            #expect(try rig.traced() == ["10 freeze", "20 session", "20 released", "10 thaw ok"])
            #expect(kill(process, 0) != 0)
            let nothing = try rig.control("hooks", "thaw")
            #expect(nothing.ending == .exited(1) && nothing.errors.contains("has frozen nothing"), "\(nothing)")
            let record = try rig.record()
            #expect(record.isAnsweredWithSuccess)
            #expect(record.result == .succeeded && !record.options.freezes && record.window == nil)
            #expect(try rig.status().lastGoodBackup == nil, "quiesced has frozen nothing")
        }

        @Test func `hooks freeze that fails has called for thaw what it had started`() throws {
            var hooks = Self.hooks()
            hooks["30-bad.session"] = "exit 3"
            let rig = try DaemonRig(hooks: hooks)
            let freeze = try rig.control("hooks", "freeze")
            #expect(
                freeze.ending == .exited(1) && freeze.errors.contains("30-bad.session exited with status 3"),
                "\(freeze)")
            #expect(try rig.traced() == ["10 freeze", "20 session", "20 released", "10 thaw failed"])
            #expect(try rig.record().subject == .hook("30-bad.session"))
            #expect(try rig.control("hooks", "thaw").ending == .exited(1))
        }

        @Test func `P3 hooks thaw tells of a session that was lost`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            #expect(try rig.control("hooks", "freeze").ending == .exited(0))
            try RunningProgram.output(of: "kill", [try RunningProgram.output(of: "cat", ["\(rig.trace).20"])])
            try rig.waitForTrace("10 thaw failed")
            let thaw = try rig.control("hooks", "thaw")
            #expect(thaw.ending == .exited(5), "\(thaw)")
            #expect(thaw.errors.contains("was ended by signal 15"))
        }

        @Test func `P3 P4 hooks thaw tells of a daemon that was killed, which calls the hooks when it starts`()
            throws
        {
            let rig = try DaemonRig(hooks: Self.hooks())
            let freeze = try rig.control("hooks", "freeze", "--json")
            let request = try JSONDecoder().decode(FreezeReply.self, from: Data(freeze.output.utf8)).request
            try rig.killBoth()
            try rig.start()
            try rig.waitForTrace("10 thaw failed")
            #expect(try rig.traced() == ["10 freeze", "20 session", "20 released", "10 thaw failed"])
            #expect(try rig.control("hooks", "thaw", "--request", request).ending == .exited(5))
            #expect(try rig.control("hooks", "thaw").ending == .exited(1), "nothing is left")
        }

        @Test(arguments: [["stop"], ["kill", "recover"]])
        func `P3 hooks thaw by its request fails after any restart, also with session hooks alone`(way: [String])
            throws
        {
            let rig = try DaemonRig(hooks: ["20-db.session": SessionHookTests.session("20")])
            let freeze = try rig.control("hooks", "freeze", "--json")
            let request = try JSONDecoder().decode(FreezeReply.self, from: Data(freeze.output.utf8)).request
            if way == ["stop"] {
                #expect(try rig.stop() == .exited(0))
            } else {
                try rig.killBoth()
                #expect(try rig.control("recover").ending == .exited(0))
            }
            try rig.start()
            try rig.waitForSocket()
            let thaw = try rig.control("hooks", "thaw", "--request", request)
            #expect(thaw.ending == .exited(5), "\(thaw)")
            let record = try rig.record()
            #expect(record.result == .failed && !record.options.freezes, "\(record)")
        }

        @Test func `P3 thaw --force ends hooks freeze, and its hooks thaw fails`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            let freeze = try rig.control("hooks", "freeze", "--json")
            let request = try JSONDecoder().decode(FreezeReply.self, from: Data(freeze.output.utf8)).request
            #expect(try rig.control("thaw", "--force").ending == .exited(5))
            #expect(try rig.traced() == ["10 freeze", "20 session", "20 released", "10 thaw failed"])
            #expect(try rig.control("hooks", "thaw", "--request", request).ending == .exited(5))
        }

        @Test func `in a dry run hooks freeze fails, since the other agent takes a snapshot`() throws {
            let rig = try DaemonRig(hooks: Self.hooks(), isStarted: false)
            try rig.start("--dry-run")
            try rig.waitForSocket()
            let freeze = try rig.control("hooks", "freeze")
            #expect(freeze.ending == .exited(1) && freeze.errors.contains("--dry-run"), "\(freeze)")
            #expect(try rig.traced() == [])
        }

        @Test func `hooks freeze names the hooks that failed and were to continue`() throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "on_failure = \"continue\""],
                hooks: ["10-bad": "[ $1 = thaw ] || exit 3", "20-good": "true"])
            let freeze = try rig.control("hooks", "freeze")
            #expect(freeze.ending == .exited(0) && freeze.output.contains("failed hooks:"), "\(freeze)")
            #expect(try rig.control("hooks", "thaw").ending == .exited(0))
            #expect(try rig.record().reason?.hasSuffix("failed hooks: 10-bad") == true)
        }

        @Test func `P3 the hooks are called for thaw when hooks thaw does not come`() throws {
            let rig = try DaemonRig(
                configuration: ["freeze": "timeout = \"1s\"\nmax_window = \"2s\""], hooks: Self.hooks())
            #expect(try rig.control("hooks", "freeze").ending == .exited(0))
            try rig.waitForTrace("10 thaw failed")
            let thaw = try rig.control("hooks", "thaw")
            #expect(thaw.ending == .exited(5) && thaw.errors.contains("did not come within"), "\(thaw)")
        }

        @Test func `a hook that fails at thaw around another agent needs attention`() throws {
            let rig = try DaemonRig(hooks: ["10-app": "[ $1 = freeze ] || exit 4"])
            #expect(try rig.control("hooks", "freeze").ending == .exited(0))
            #expect(try rig.control("hooks", "thaw").ending == .exited(6))
            #expect(try rig.control("status").output.contains("hook 10-app exited with status 4 at thaw"))
        }

        @Test func `hooks thaw ends no other request, and hooks freeze fails without quiesced`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            #expect(try rig.freeze().status == .success)
            #expect(try rig.control("hooks", "freeze").ending == .exited(4))
            #expect(try rig.control("hooks", "thaw").ending == .exited(1))
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            try rig.waitUntil(.idle)
            try rig.stop()
            let freeze = try rig.control("hooks", "freeze")
            #expect(freeze.ending == .exited(3) && freeze.errors.contains("systemctl start quiesced"), "\(freeze)")
        }

        /// With the default configuration, as the adapters call it.
        private func withDefaults(_ rig: DaemonRig, _ body: () throws -> Void) throws {
            try RunningProgram.output(of: "mkdir", ["-p", "/etc/quiesced"])
            try RunningProgram.output(of: "ln", ["-sf", rig.configuration.string, "/etc/quiesced/quiesced.toml"])
            try RunningProgram.output(of: "ln", ["-sf", "/quiesce/bin/quiescectl", "/usr/bin/quiescectl"])
            defer {
                unlink("/etc/quiesced/quiesced.toml")
                unlink("/usr/bin/quiescectl")
            }
            try body()
        }

        @Test func `QEMU's guest agent calls our hooks through its adapter`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            try withDefaults(rig) {
                let agent = try StockQEMUAgent(hook: Self.shipped.appending("adapters/qemu-guest-agent"))
                #expect(try agent.freeze())
                #expect(try FreezeProof.isFrozen("/"))
                #expect(try rig.traced() == ["10 freeze", "20 session"])
                #expect(try agent.thaw())
                #expect(try rig.traced() == ["10 freeze", "20 session", "20 released", "10 thaw ok"])
                #expect(try !rig.record().options.freezes)
                // A hook that fails keeps it from freezing.
                try rig.install(hook: "10-plain", "exit 3")
                #expect(try !agent.freeze())
                #expect(try !FreezeProof.isFrozen("/"))
            }
        }

        /// Calls an adapter as its agent does.
        private func call(_ adapter: String, _ word: String) throws -> RunningProgram.Ending {
            let path = Self.shipped.appending("adapters").appending(adapter)
            return try RunningProgram.run(path, [word], within: .seconds(30)).ending
        }

        @Test(arguments: ["qemu-guest-agent", "vmware-tools"])
        func `P3 a freeze that is refused keeps no adapter from ending the window before`(name: String) throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            func run(_ word: String) throws -> RunningProgram.Ending { try call(name, word) }
            try withDefaults(rig) { () throws in
                #expect(try run("freeze") == .exited(0))
                #expect(try run("freeze") == .exited(4))
                #expect(try run("thaw") == .exited(0))
                #expect(try rig.traced() == ["10 freeze", "20 session", "20 released", "10 thaw ok"])
                // QEMU's agent calls for thaw after a freeze that failed, VMware's tools do not.
                #expect(try run("thaw") == .exited(name == "vmware-tools" ? 1 : 0))
                // The window was over: what was copied in it may be torn.
                #expect(try run("freeze") == .exited(0))
                #expect(try rig.control("thaw", "--force").ending == .exited(5))
                #expect(try run("thaw") == .exited(5))
            }
        }

        @Test(arguments: ["qemu-guest-agent", "vmware-tools"])
        func `P3 a thaw that does not reach quiesced keeps the request for another try`(name: String) throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            func run(_ word: String) throws -> RunningProgram.Ending { try call(name, word) }
            try withDefaults(rig) {
                #expect(try run("freeze") == .exited(0))
                try rig.killBoth()
                #expect(try run("thaw") == .exited(3))
                try rig.start()
                try rig.waitForSocket()
                #expect(try run("thaw") == .exited(5))
                #expect(try run("thaw") == .exited(name == "vmware-tools" ? 1 : 0), "the request is forgotten")
            }
        }

        @Test func `a file that does not hold the id of a request is refused, and nothing is thawed`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            #expect(try rig.control("hooks", "freeze").ending == .exited(0))
            let file: FilePath = "/run/request-file"
            for content in ["", "two words", String(repeating: "x", count: 300)] {
                try Data(content.utf8).write(to: URL(fileURLWithPath: file.string))
                let thaw = try rig.control("hooks", "thaw", "--request-file", file.string)
                #expect(thaw.ending == .exited(1) && thaw.errors.contains("\(file): "), "\(thaw)")
            }
            #expect(try rig.control("hooks", "thaw").ending == .exited(0))
            let freeze = try rig.control("hooks", "freeze", "--request-file", "/no/such/directory/file")
            #expect(freeze.ending == .exited(1) && freeze.errors.contains("cannot be written"), "\(freeze)")
            try rig.waitForTrace("10 thaw failed")
        }

        @Test(arguments: ["qemu-guest-agent", "vmware-tools"])
        func `P4 an agent that ends its adapter ends the freeze`(name: String) throws {
            let rig = try DaemonRig(hooks: [
                "10-slow": "echo \"10 $1\" >> $TRACE; [ $1 = thaw ] || exec sleep 1000"
            ])
            try withDefaults(rig) {
                let adapter = try RunningProgram(Self.shipped.appending("adapters").appending(name), ["freeze"])
                try rig.waitForTrace("10 freeze")
                adapter.send(SIGTERM)
                #expect(try adapter.waitForExit(within: .seconds(30)) == .exited(1))
                try rig.waitForTrace("10 thaw")
                #expect(try rig.record().reason == "cancelled by the caller")
            }
        }

        @Test func `the adapter for VMware translates its words`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            let round = ["10 freeze", "20 session", "20 released"]
            try withDefaults(rig) {
                let vmware = Self.shipped.appending("adapters/vmware-tools")
                for word in ["freeze", "thaw", "freeze", "freezeFail"] {
                    let run = try RunningProgram.run(vmware, [word], within: .seconds(30))
                    #expect(run.ending == .exited(0), "\(run)")
                }
                #expect(try rig.traced() == round + ["10 thaw ok"] + round + ["10 thaw failed"])
                #expect(try rig.record(number: 2).reason == "the other agent has no snapshot")
            }
        }

        /// Google's agent freezes nothing itself, and takes no snapshot when the first script fails.
        @Test func `between Google's scripts everything is frozen by quiesced`() throws {
            let rig = try DaemonRig(hooks: Self.hooks())
            let round = ["10 freeze", "20 session", "20 released"]
            let directory: FilePath = "/etc/google/snapshots"
            func run(_ name: String) throws -> CInt? {
                let run = try RunningProgram.run(directory.appending(name), ["sda"], within: .seconds(30))
                guard case .exited(let status) = run.ending else { return nil }
                return status
            }
            try RunningProgram.output(of: "mkdir", ["-p", directory.string])
            for name in ["pre.sh", "post.sh"] {
                try RunningProgram.output(
                    of: "cp",
                    [Self.shipped.appending("adapters/google-snapshot").string, directory.appending(name).string])
            }
            try withDefaults(rig) {
                #expect(try run("pre.sh") == 0)
                #expect(try FreezeProof.isFrozen("/"))
                // The snapshot of a second disk is refused, and does not keep the first window open.
                #expect(try run("pre.sh") == 4)
                #expect(try run("post.sh") == 0)
                #expect(try !FreezeProof.isFrozen("/"))
                #expect(try rig.traced() == round + ["10 thaw ok"])
                // A second post.sh is no other window's end.
                #expect(try rig.freeze().status == .success)
                #expect(try run("post.sh") == 1)
                #expect(try FreezeProof.isFrozen("/"))
                // Another request is under way.
                #expect(try run("pre.sh") == 4)
                #expect(try rig.thaw().status == .success)
                try rig.waitUntil(.idle)
                // A window that has ended early.
                #expect(try run("pre.sh") == 0)
                kill(try rig.freezerProcess(), SIGKILL)
                try rig.waitUntil(.idle)
                #expect(try run("post.sh") == 5)
                // A thaw hook that fails harms no snapshot.
                try rig.install(hook: "10-plain", "[ $1 = freeze ]")
                #expect(try run("pre.sh") == 0)
                #expect(try run("post.sh") == 0)
                // A hook that fails, and a service that is not there.
                try rig.install(hook: "10-plain", "exit 3")
                #expect(try run("pre.sh") == 1)
                #expect(try !FreezeProof.isFrozen("/"))
                #expect(try run("post.sh") == 1)
                try rig.stop()
                #expect(try run("pre.sh") == 3)
                // A dry run freezes nothing.
                try rig.install(hook: "10-plain", "exit 0")
                try rig.start("--dry-run")
                #expect(try run("pre.sh") == 1)
                try rig.waitUntil(.idle)
            }
        }
    }
}
