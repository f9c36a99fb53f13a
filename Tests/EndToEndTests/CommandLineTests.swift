import Channels
import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

extension EndToEnd {
    /// What the admin sees of the commands that need no daemon.
    @Suite struct CommandLineTests {
        private static let program = ScratchWorld.programs.appending("quiescectl")

        private func run(
            _ arguments: String...
        ) throws -> (ending: RunningProgram.Ending, output: String, errors: String) {
            try RunningProgram.run(Self.program, arguments)
        }

        private func object(_ text: String) throws -> [String: Any] {
            try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        }

        private func expectFits(_ text: String) {
            for line in text.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
        }

        /// A daemon that is not started.
        private func idleRig(hooks: [String: String] = [:]) throws -> DaemonRig {
            try DaemonRig(
                configuration: ["filesystems": "include = [\"/\"]"], hooks: hooks, isStarted: false)
        }

        // MARK: Help and output

        @Test(arguments: [
            [], ["plan"], ["check"], ["services"], ["history"], ["show"], ["hooks"], ["hooks", "list"],
            ["hooks", "run"],
            ["recover"], ["simulate-host"],
        ])
        func `every help has examples, fits and is not lost on a full disk`(_ command: [String]) throws {
            let help = try RunningProgram.run(Self.program, command + ["--help"])
            #expect(help.ending == .exited(0) && help.errors.isEmpty)
            #expect(
                help.output.contains("Examples:") && help.output.contains("Exit status") || command == ["hooks"])
            expectFits(help.output)
            let words = ([Self.program.string] + command + ["--help"]).joined(separator: " ")
            let full = try RunningProgram.run("sh", ["-c", "\(words) >/dev/full"])
            #expect(full.ending == .exited(1))
            #expect(full.errors.contains("standard output: it cannot be written"))
        }

        @Test(arguments: [
            ["bogus"], ["plan", "--bogus"], ["history", "--limit", "0"], ["plan", "--config", "/no"],
        ])
        func `wrong usage and configuration have status 2`(_ arguments: [String]) throws {
            let result = try RunningProgram.run(Self.program, arguments)
            #expect(result.ending == .exited(2) && result.output.isEmpty)
            #expect(result.errors.hasPrefix("quiescectl: "))
        }

        @Test func `an unknown option is repeated escaped`() throws {
            let result = try run("plan", "--bo\u{1B}[2Jgus")
            #expect(result.ending == .exited(2))
            #expect(result.errors.contains("\\033[2J") && !result.errors.contains("\u{1B}"))
        }

        @Test func `without standard descriptors nothing else gets their places`() throws {
            let result = try RunningProgram.run("sh", ["-c", "\(Self.program) --help <&- >&- 2>&-"])
            #expect(result.ending == .exited(0))
        }

        @Test func `a plan with nothing to freeze is printed and fails`() throws {
            let rig = try DaemonRig(configuration: ["filesystems": "exclude = [\"/*\"]"], isStarted: false)
            for format in [[], ["--json"]] {
                let result = try RunningProgram.run(
                    Self.program, ["plan", "--config", rig.configuration.string] + format)
                #expect(result.ending == .exited(1))
                #expect(result.output.contains("there is no filesystem to freeze"))
            }
        }

        // MARK: recover

        @Test func `recover tells a missing directory from one with nothing to do`() throws {
            let named = try run("recover", "--run", "/run/no-such-quiesced")
            #expect(named.ending == .exited(1))
            #expect(named.errors.contains("/run/no-such-quiesced: there is no such run directory"))
            let configured = try idleRig().control("recover")
            #expect(configured.ending == .exited(0))
            #expect(configured.output.contains("does not exist, so no quiesced has run"))
            for path in ["/tmp", "/etc", "/dev/null"] {
                let wrong = try run("recover", "--run", path)
                #expect(wrong.ending == .exited(1) && !wrong.errors.contains("ch" + "mod"))
            }
        }

        @Test func `recover says what it did, for programs too`() throws {
            let nothing = try object(try idleRig().control("recover", "--json").output)
            #expect(nothing["request_id"] is NSNull && nothing["thawed"] as? Bool == true)
            let rig = try DaemonRig(configuration: ["filesystems": "include = [\"/\"]"])
            #expect(try rig.freeze().status == .success)
            let recovery = try rig.control("recover", "--force", "--json")
            #expect(recovery.ending == .exited(0), "\(recovery.errors)")
            let document = try object(recovery.output)
            #expect(document["owner_alive"] as? Bool == true && document["thawed"] as? Bool == true)
            let filesystems = try #require(document["filesystems"] as? [[String: Any]])
            #expect(filesystems.map { $0["mount_point"] as? String } == ["/"])
        }

        // MARK: simulate-host

        @Test func `simulate-host says what it was answered, for programs too`() throws {
            #expect(try run("simulate-host", "--json").ending == .exited(2), "nobody would know where it is")
            let device = "/run/simulated-for-programs"
            let configuration = "/etc/simulated-for-programs.toml"
            let text = """
                [hyperv]
                enabled = true
                device = "\(device)"
                [paths]
                run = "/run/quiesced-for-programs"
                """
            try Data(text.utf8).write(to: URL(fileURLWithPath: configuration))
            let host = try RunningProgram(
                Self.program,
                ["simulate-host", "--json", "--device", device, "--operations", "HOT_BACKUP,FREEZE,THAW,OP=9"])
            try wait(for: "the stand-in") { FileManager.default.fileExists(atPath: device) }
            let daemon = try RunningProgram(
                ScratchWorld.programs.appending("quiesced"), ["--dry-run", "--config", configuration])
            defer { daemon.send(SIGTERM) }
            #expect(try host.waitForExit(within: .seconds(30)) == .exited(0), "\(daemon.text(of: .errors))")
            let document = try object(host.text(of: .output))
            #expect(document["succeeded"] as? Bool == true)
            let operations = try #require(document["operations"] as? [[String: Any]])
            #expect(
                operations.map { $0["operation"] as? String } == ["HOT_BACKUP", "FREEZE", "THAW", "OP=9"])
            #expect(operations.allSatisfy { $0["status"] as? String == "HV_S_OK" })
        }

        // MARK: history

        @Test func `history lists what show shows`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(
                configuration: ["filesystems": "include = [\"\(filesystem.mountPoint)\"]"],
                hooks: ["10-ok": "echo $1", "20-db": "[ $1 = freeze ] || exit 3"])
            let empty = try rig.control("history")
            #expect(empty.ending == .exited(1) && empty.errors.contains("no request has been recorded yet"))
            for number in 1...2 {
                #expect(try rig.freeze().status == .success)
                #expect(try rig.thaw().status == .success)
                _ = try rig.record(number: number)
            }
            let list = try rig.control("history")
            #expect(list.ending == .exited(0))
            #expect(list.output.hasPrefix("ID                WHEN (UTC)           CHANNEL  RESULT"))
            expectFits(list.output)
            let json = try rig.control("history", "--json", "--limit", "1")
            let records = try JSONDecoder().decode([RequestRecord].self, from: Data(json.output.utf8))
            #expect(records == [try rig.record(number: 2)])
            let shown = try rig.control("show", records[0].id.text)
            #expect(shown.ending == .exited(0) && shown.output.contains(" \(records[0].id.text) from hyperv"))
            #expect(try rig.control("show", "no-such-request").ending == .exited(1))

            let hooks = try rig.control("hooks", "list")
            #expect(hooks.ending == .exited(0))
            #expect(hooks.output.contains("10-ok") && hooks.output.contains("thaw: exit 3"))
            expectFits(hooks.output)
        }

        // MARK: check

        @Test func `check names what is wrong and ends in a verdict`() throws {
            let rig = try idleRig(hooks: ["10-ok": "exit 0"])
            let ready = try rig.control("check", "--before-start")
            #expect(ready.ending == .exited(0), "\(ready.output)")
            #expect(ready.output.contains("\nReady"))
            expectFits(ready.output)
            try rig.install(hook: "20-bad", "exit 0", mode: "644")
            let report = try object(try rig.control("check", "--before-start", "--json").output)
            #expect(report["ready"] as? Bool == false && report["errors"] as? Int == 1)
            #expect(try rig.control("check", "--before-start").ending == .exited(1))
            try Data("[freeze]\ntimeout = 10\n".utf8).write(to: URL(fileURLWithPath: rig.configuration.string))
            let wrong = try rig.control("check")
            #expect(wrong.ending == .exited(2) && wrong.output.contains("Not ready: 1 error."))
        }

        // MARK: services

        /// Runs `services` on a machine whose /sys is the directory.
        private func services(
            sys: FilePath, _ arguments: String...
        ) throws -> (ending: RunningProgram.Ending, output: String, errors: String) {
            let command = ([Self.program.string, "services"] + arguments).joined(separator: " ")
            return try RunningProgram.run(
                "unshare", ["--mount", "sh", "-c", "mount --bind \(sys) /sys && exec \(command)"])
        }

        @Test func `services shows the integration services of Hyper-V, for programs too`() throws {
            let sys: FilePath = "/run/services-of-hyper-v"
            func offer(_ name: String, _ classID: String) throws {
                let device = sys.pushing(FilePath("bus/vmbus/devices/\(name)"))
                try FileManager.default.createDirectory(atPath: device.string, withIntermediateDirectories: true)
                try Data("{\(classID)}\n".utf8).write(to: URL(fileURLWithPath: "\(device)/class_id"))
                try FileManager.default.createSymbolicLink(
                    atPath: "\(device)/driver", withDestinationPath: "../../drivers/hv_utils")
            }
            func states(_ output: String) throws -> [String: [String: Any]] {
                let services = try #require(try object(output)["services"] as? [[String: Any]])
                return Dictionary(uniqueKeysWithValues: services.map { ($0["id"] as? String ?? "", $0) })
            }
            try offer("1", "57164f39-9115-4e78-ab55-382f3bd5422d")
            let kernel = try services(sys: sys, "--json")
            #expect(try object(kernel.output)["host"] as? String == "hyperv")
            #expect(try states(kernel.output)["heartbeat"]?["state"] as? String == "working")
            #expect(try states(kernel.output)["vss"]?["state"] as? String == "off")

            // The class of data exchange: other tests use the device for backups.
            try offer("2", "a9a0f4e7-5a45-4d96-b827-8a841e8c03e6")
            try FileManager.default.createDirectory(atPath: "/dev/vmbus", withIntermediateDirectories: true)
            try Data().write(to: URL(fileURLWithPath: "/dev/vmbus/hv_kvp"))
            let idle = try services(sys: sys)
            #expect(idle.ending == .exited(1), "\(idle.errors)")
            #expect(idle.output.contains("\nKey-Value Pair Exchange  idle"))
            #expect(
                idle.output.contains("\nKey-Value Pair Exchange: No process has /dev/vmbus/hv_kvp open.\n  Next: ")
            )
            #expect(idle.output.contains("\nVSS (\"Backup (volume shadow copy)\" in Hyper-V Manager): The host"))
            // The commands for the host are not wrapped.
            expectFits(
                idle.output.split(separator: "\n").filter { !$0.hasPrefix("  $key") }.joined(separator: "\n"))

            let holder = try RunningProgram("sh", ["-c", "exec sleep 60 7</dev/vmbus/hv_kvp"])
            defer { holder.send(SIGTERM) }
            try wait(for: "the process to open the device") {
                FileManager.default.fileExists(atPath: "/proc/\(holder.processIdentifier)/fd/7")
            }
            let served = try states(try services(sys: sys, "--json").output)["key_value_pair_exchange"]
            #expect(served?["state"] as? String == "working" && served?["next_step"] is NSNull)
            let process = try #require(served?["process"] as? [String: Any])
            #expect(process["pid"] as? Int == Int(holder.processIdentifier) && process["unit"] is NSNull)
        }

        @Test func `services says on another machine that there are none`() throws {
            let sys: FilePath = "/run/services-of-no-host"
            try FileManager.default.createDirectory(atPath: sys.string, withIntermediateDirectories: true)
            let result = try services(sys: sys)
            #expect(result.ending == .exited(0))
            #expect(result.output == "This machine is no guest of Hyper-V or KVM: the host offers no services.\n")
        }

        // MARK: hooks run

        @Test func `a hook is rehearsed as a request would call it`() throws {
            let rig = try idleRig(hooks: ["10-ok": "echo $1 $QUIESCE_CHANNEL $QUIESCE_RESULT $QUIESCE_MOUNTPOINTS"]
            )
            let result = try rig.control("hooks", "run", "10-ok")
            #expect(result.ending == .exited(0), "\(result.errors)")
            #expect(result.output.contains("    freeze rehearsal /\n"))
            #expect(result.output.contains("    thaw rehearsal ok /\n"))
            #expect(result.output.hasSuffix("10-ok does what a backup needs of it.\n"))
            try rig.install(hook: "20-state", "grep SigIgn /proc/self/status; umask")
            let state = try rig.control("hooks", "run", "20-state").output
            // Of the real-time signals two may be ignored, by the C library's own hand.
            #expect(state.contains(/SigIgn: +0{7}[01][08]0{7}\n +0022\n/), "\(state)")
            expectFits(result.output)
            let document = try object(try rig.control("hooks", "run", "10-ok", "--json").output)
            #expect(document["succeeded"] as? Bool == true)
            #expect((document["request_id"] as? String)?.hasPrefix("rehearsal-") == true)
            #expect((document["calls"] as? [[String: Any]])?.map { $0["phase"] as? String } == ["freeze", "thaw"])
            #expect(try rig.control("hooks", "run", "99-none").ending == .exited(2))
        }

        @Test func `what takes longer than two seconds is said`() throws {
            let rig = try idleRig(hooks: ["10-slow": "[ $1 = thaw ] || \(DaemonRig.waiting(forGate: "slow"))"])
            let program = try rig.controlling("hooks", "run", "10-slow")
            try program.waitForLine(in: .errors) { $0 == "waiting for the hook …" }
            try rig.open(gate: "slow")
            #expect(try program.waitForExit() == .exited(0))
        }

        @Test func `P4 a hook whose freeze fails is called for thaw`() throws {
            let rig = try idleRig(hooks: ["10-bad": "echo $1 $QUIESCE_RESULT >> $TRACE; [ $1 = thaw ]"]
            )
            let result = try rig.control("hooks", "run", "10-bad")
            #expect(result.ending == .exited(1))
            #expect(result.output.contains("exited with status 1"))
            #expect(try rig.traced() == ["freeze", "thaw failed"])
            try rig.install(hook: "10-bad", "echo called >> $TRACE", mode: "775")
            let refused = try rig.control("hooks", "run", "10-bad")
            #expect(refused.ending == .exited(1) && refused.errors.contains("writable by its group"))
            #expect(try rig.traced().count == 2)
        }

        @Test(arguments: [SIGINT, SIGTERM, SIGHUP])
        func `P4 a rehearsal that is interrupted calls the hook for thaw`(_ signal: CInt) throws {
            let rig = try idleRig(hooks: [
                "10-slow": "echo $1 $QUIESCE_RESULT >> $TRACE; [ $1 = thaw ] || exec sleep 20"
            ])
            let rehearsal = try RunningProgram(
                Self.program, ["hooks", "run", "10-slow", "--config", rig.configuration.string])
            try rig.waitForTrace("freeze")
            rehearsal.send(signal)
            #expect(try rehearsal.waitForExit() == .exited(1))
            #expect(try rig.traced() == ["freeze", "thaw failed"])
            #expect(rehearsal.text(of: .output).contains("The rehearsal was interrupted."))
        }

        // MARK: Completion

        @Test func `bash completes commands, hooks and requests`() throws {
            let rig = try idleRig(hooks: ["10-ok": "", "20-db": ""])
            let script = """
                source <("$0" --generate-completion-script bash)
                complete() {
                    COMP_WORDS=(quiescectl "$@") COMP_CWORD=$#
                    COMP_LINE="${COMP_WORDS[*]}" COMP_POINT=${#COMP_LINE} COMPREPLY=()
                    _quiescectl quiescectl "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
                    echo "$*: ${COMPREPLY[*]}"
                }
                PATH=${0%/*}:$PATH
                complete hi
                complete se
                complete hooks l
                complete plan --j
                complete hooks run --config \(rig.configuration) ""
                complete hooks run --config \(rig.configuration) 2
                """
            let result = try RunningProgram.run("bash", ["-c", script, Self.program.string])
            #expect(
                result.output.split(separator: "\n") == [
                    "hi: history", "se: services", "hooks l: list", "plan --j: --json",
                    "hooks run --config \(rig.configuration) : 10-ok 20-db",
                    "hooks run --config \(rig.configuration) 2: 20-db",
                ], "\(result.output)\(result.errors)")
        }
    }
}
