import Foundation
import SystemPackage
import Testing

/// A user controls the application prepared by a hook, or a file on the way to a hook. Neither makes the user root.
extension EndToEnd {
    @Suite struct HookAttackTests {
        private static let user = "65534"

        // MARK: The terminal

        /// Code of a database user, run in a hook's client as the same user: types into every reachable terminal.
        private static let typist = """
            for my $name ("/dev/tty", map { "/proc/self/fd/$_" } 0 .. 9) {
                my $terminal;
                next unless open($terminal, "<", $name) and -t $terminal;
                print "reached $name\\n";
                for my $letter (split //, "typed\\n") { ioctl($terminal, 0x5412, $letter) }
            }
            """

        /// - Parameter after: Further commands of the hook; in a session `READY` and the wait for the end.
        private func makeTypist(_ rig: DaemonRig, _ name: String, after: String = "") throws {
            try Data(Self.typist.utf8).write(to: URL(fileURLWithPath: "/tmp/typist.pl"))
            try rig.install(
                hook: name,
                """
                read -r line </proc/$$/stat; set -- $1 ${line##*)}
                echo "session $([ "$5" = $$ ] && echo own), terminal $6" >> $TRACE
                setpriv --reuid=\(Self.user) --regid=\(Self.user) --clear-groups perl /tmp/typist.pl >> $TRACE 2>&1
                \(after)
                """)
        }

        /// Root's shell: runs a command and then reads typed input.
        private func shell(running command: String) throws -> TerminalProgram {
            let script = "\(command); echo status $?; IFS= read -r -t 2 line; echo \"<$line>\""
            return try TerminalProgram("bash", ["-c", script], environment: ProcessInfo.processInfo.environment)
        }

        private static let session = "echo READY; cat >/dev/null"

        @Test(arguments: [("50-app", ""), ("60-db.session", Self.session)])
        func `a client that a rehearsed hook runs cannot type into root's terminal`(name: String, after: String)
            throws
        {
            let rig = try DaemonRig(isStarted: false)
            try makeTypist(rig, name, after: after)
            let control = ScratchWorld.programs.appending("quiescectl")
            let shell = try shell(running: "\(control) hooks run \(name) --config \(rig.configuration)")
            #expect(try shell.waitForExit() == 0)
            #expect(shell.text.contains("status 0") && shell.text.contains("<>"), "\(shell.text)")
            let traced = try rig.traced()
            #expect(!traced.isEmpty && traced.allSatisfy { $0 == "session own, terminal 0" }, "\(traced)")
        }

        @Test func `no client of an imported hook, or of a daemon in a terminal, can type into it`() throws {
            let rig = try DaemonRig(isStarted: false)
            try makeTypist(rig, "50-app")
            try makeTypist(rig, "60-db.session", after: Self.session)
            let options = "--config \(rig.configuration)"
            let control = "\(ScratchWorld.programs)/quiescectl"
            let daemon = "\(ScratchWorld.programs)/quiesced \(options) & trap 'kill $!' EXIT"
            let start = "until \(control) hooks freeze \(options) 2>/dev/null; do sleep 0.1; done"
            let shell = try shell(
                running:
                    "\(daemon); \(start); \(control) hooks thaw \(options) && \(control) exec \(options) -- true")
            #expect(try shell.waitForExit() == 0)
            #expect(shell.text.contains("status 0") && shell.text.contains("<>"), "\(shell.text)")
            let traced = try rig.traced()
            #expect(traced.count >= 6 && traced.allSatisfy { $0 == "session own, terminal 0" }, "\(traced)")
        }

        @Test func `P4 Ctrl-C at a rehearsal ends its hook, which is called for thaw`() throws {
            let rig = try DaemonRig(isStarted: false)
            try rig.install(
                hook: "50-app",
                """
                if [ $1 = freeze ]; then echo $$ >$TRACE.process; fi
                echo "$1" >> $TRACE
                if [ $1 = freeze ]; then sleep 86398; fi
                """)
            let control = ScratchWorld.programs.appending("quiescectl")
            let program = try TerminalProgram(
                control, ["hooks", "run", "50-app", "--config", rig.configuration.string],
                environment: rig.environment)
            try rig.waitForTrace("freeze")
            try program.type("\u{3}")
            #expect(try program.waitForExit() == 1)
            #expect(program.text.contains("interrupted"), "\(program.text)")
            #expect(try rig.traced() == ["freeze", "thaw"])
            let process = try #require(pid_t(try RunningProgram.output(of: "cat", ["\(rig.trace).process"])))
            #expect(kill(process, 0) != 0)
            #expect(try RunningProgram.run("pgrep", ["-f", "sleep 86398"]).ending == .exited(1))
        }

        // MARK: Files on the way

        private static let payload = "#!/bin/sh\nid -u > /tmp/forged-ran\n"

        private func hasRun() -> Bool {
            defer { unlink("/tmp/forged-ran") }
            return FileManager.default.fileExists(atPath: "/tmp/forged-ran")
        }

        private func settingsDirectory(of rig: DaemonRig) -> FilePath {
            rig.hookDirectory.removingLastComponent().appending("hooks.conf.d")
        }

        private static let sourcing =
            "if [ -n \"${QUIESCE_HOOK_SETTINGS-}\" ]; then . \"$QUIESCE_HOOK_SETTINGS\"; fi"

        @Test func `a hook is refused whose missing settings a user could make`() throws {
            let rig = try DaemonRig(hooks: ["50-app": Self.sourcing], isStarted: false)
            let directory = settingsDirectory(of: rig)
            let home = "/mnt/home-of-a-user"
            try RunningProgram.output(of: "install", ["-d", "-o", Self.user, home])
            let makings = [
                "mkdir \(directory); chown \(Self.user) \(directory)", "ln -s \(home)/settings \(directory)",
                "mkdir \(directory); ln -s \(home)/missing \(directory)/app",
            ]
            for making in makings {
                try RunningProgram.output(of: "sh", ["-c", "rm -rf \(directory); \(making)"])
                let run = try rig.control("hooks", "run", "50-app")
                #expect(run.ending == .exited(1), "\(making): \(run)")
                #expect(run.errors.contains("is owned by user \(Self.user)"), "\(making): \(run)")
            }
            // A user's file behind root's link.
            try RunningProgram.output(
                of: "sh",
                [
                    "-c",
                    "echo '\(Self.payload)' >\(home)/file; chown \(Self.user) \(home)/file; chmod 755 \(home)/file",
                ])
            for link in ["\(directory)/app", "\(rig.hookDirectory)/60-link"] {
                try RunningProgram.output(
                    of: "sh", ["-c", "rm -rf \(directory); mkdir \(directory); ln -s \(home)/file \(link)"])
                let name = link.hasSuffix("app") ? "50-app" : "60-link"
                let run = try rig.control("hooks", "run", name)
                #expect(run.ending == .exited(1) && run.errors.contains("is owned by user"), "\(run)")
                try RunningProgram.output(of: "rm", [link])
            }
            #expect(!hasRun())
        }

        @Test func `owners that a user's FUSE server reports are not trusted`() throws {
            let rig = try DaemonRig(hooks: ["50-app": Self.sourcing], isStarted: false)
            let forged = try ForgedFilesystem(
                on: "/mnt/forged", files: ["hook": Self.payload, "quiesced.toml": "[hyperv]\nenabled = false\n"])
            #expect(try RunningProgram.output(of: "stat", ["-c", "%u %a", "/mnt/forged/hook"]) == "0 755")
            let directory = settingsDirectory(of: rig)
            try RunningProgram.output(
                of: "sh",
                [
                    "-c",
                    "mkdir \(directory); ln -s /mnt/forged/hook \(directory)/app; "
                        + "ln -s /mnt/forged/hook \(rig.hookDirectory)/60-link",
                ])
            for name in ["50-app", "60-link"] {
                let run = try rig.control("hooks", "run", name)
                #expect(run.ending == .exited(1), "\(name): \(run)")
                #expect(run.errors.contains("FUSE"), "\(name): \(run)")
            }
            #expect(!hasRun())
            let daemon = try RunningProgram.run(
                ScratchWorld.programs.appending("quiesced"), ["--config", "/mnt/forged/quiesced.toml"])
            #expect(daemon.ending == .exited(2) && daemon.errors.contains("FUSE"), "\(daemon)")
            forged.end()
        }

        @Test func `P9 a FUSE server that never answers gets no request`() throws {
            let rig = try DaemonRig(hooks: ["50-app": Self.sourcing], isStarted: false)
            let silent = try ForgedFilesystem(on: "/mnt/silent", isServed: false)
            try RunningProgram.output(
                of: "ln", ["-s", "/mnt/silent/hook", rig.hookDirectory.appending("60-link").string])
            let list = try rig.control("hooks", "list")
            #expect(list.ending == .exited(0) && list.output.contains("FUSE"), "\(list)")
            let daemon = try RunningProgram.run(
                ScratchWorld.programs.appending("quiesced"), ["--config", "/mnt/silent/quiesced.toml"],
                within: .seconds(5))
            #expect(daemon.ending == .exited(2) && daemon.errors.contains("FUSE"), "\(daemon)")
            silent.end()
        }
    }
}
