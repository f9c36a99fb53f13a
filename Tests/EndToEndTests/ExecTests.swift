import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

/// `quiescectl exec`: frozen for as long as one command runs.
extension EndToEnd {
    @Suite struct ExecTests {
        private func rig(_ configuration: [String: String] = [:]) throws -> DaemonRig {
            let rig = try DaemonRig(
                configuration: configuration,
                hooks: ["10-note": "echo $1 $QUIESCE_CHANNEL $QUIESCE_RESULT >> $TRACE"])
            try rig.waitForSocket()
            return rig
        }

        /// A command that says it runs, and waits for the gate.
        private func waiting(_ rig: DaemonRig, then end: String) -> [String] {
            [
                "sh", "-c",
                "TRACE=\(rig.trace); echo running $QUIESCE_REQUEST_ID; \(DaemonRig.waiting(forGate: "command")); \(end)",
            ]
        }

        private func start(_ rig: DaemonRig, then end: String) throws -> RunningProgram {
            let command = waiting(rig, then: end)
            let program = try rig.exec(command[0], command[1], command[2])
            try program.waitForLine(in: .output) { $0.hasPrefix("running ") && $0.count > 10 }
            return program
        }

        @Test func `the command runs while everything is frozen, and its exit status is told`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try rig()
            let program = try start(rig, then: "exit 0")
            #expect(try FreezeProof.isFrozen(filesystem.mountPoint) && FreezeProof.isFrozen("/"))
            #expect(try rig.status().request?.channel == "exec")
            // It is the command's alone.
            #expect(try rig.control("thaw").ending == .exited(1))
            #expect(try FreezeProof.isFrozen("/"))
            try rig.open(gate: "command")
            #expect(try program.waitForExit() == .exited(0))
            #expect(try !FreezeProof.isFrozen(filesystem.mountPoint) && !FreezeProof.isFrozen("/"))
            #expect(program.text(of: .errors).contains("succeeded, level application"))
            #expect(try rig.traced() == ["freeze exec", "thaw exec ok"])
            try rig.waitUntilReleased()
            try filesystem.remove()
        }

        @Test func `P3 a command that fails makes no good backup`() throws {
            let rig = try rig()
            let program = try rig.exec("sh", "-c", "exit 7")
            #expect(try program.waitForExit() == .exited(7))
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.traced() == ["freeze exec", "thaw exec failed"])
            let record = try rig.record()
            #expect(record.result == .failed)
            #expect(record.reason == "the command exited with status 7")
            #expect(try rig.status().lastGoodBackup == nil)
        }

        @Test func `P1 killed with SIGKILL, it leaves nothing frozen`() throws {
            let rig = try rig()
            let program = try start(rig, then: "exit 0")
            program.send(SIGKILL)
            _ = try program.waitForExit()
            try rig.waitForTrace("thaw exec failed")
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.record().result == .failed)
            try rig.open(gate: "command")
            try rig.expectHealthy(freezing: [])
        }

        @Test
        func `P1 killed with SIGKILL, it leaves nothing frozen, though a hook's background process lives on`()
            throws
        {
            let rig = try DaemonRig(hooks: [
                "10-note": """
                echo $1 $QUIESCE_CHANNEL $QUIESCE_RESULT >> $TRACE
                [ $1 = thaw ] || { sleep 86396 & echo $! > $TRACE.child; }
                """,
                "20-held.session": "sleep 86396 & echo $! > $TRACE.held; echo READY; cat >/dev/null; kill $!",
            ])
            try rig.waitForSocket()
            let program = try start(rig, then: "exit 0")
            let children = try ["child", "held"].map { name in
                try #require(pid_t(try RunningProgram.output(of: "cat", ["\(rig.trace).\(name)"])))
            }
            for child in children {
                let held = try RunningProgram.output(of: "ls", ["-l", "/proc/\(child)/fd"])
                #expect(!held.contains("socket:") && !held.contains("anon_inode:"), "\(held)")
            }
            program.send(SIGKILL)
            _ = try program.waitForExit()
            try rig.waitForTrace("thaw exec failed")
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(kill(children[0], 0) == 0)
            kill(children[0], SIGKILL)
            try rig.open(gate: "command")
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `P3 a window that ends before the command does is told with status 5`() throws {
            let rig = try rig(["freeze": "timeout = \"900ms\"\nmax_window = \"1s\""])
            let program = try start(rig, then: "exit 0")
            try rig.waitForTrace("thaw exec failed")
            try program.waitForLine(in: .errors) { $0.hasPrefix("lost ") }
            try rig.open(gate: "command")
            #expect(try program.waitForExit() == .exited(5))
            let errors = program.text(of: .errors)
            #expect(
                errors.contains("the window has ended before the command; waiting for sh (process "), "\(errors)")
            let reason = "the command ran longer than freeze.max_window (1s)"
            #expect(errors.components(separatedBy: reason).count == 2, "it is told once: \(errors)")
            #expect(errors.contains("Do not trust a snapshot of this window; begin again.\n"), "\(errors)")
            #expect(errors.contains("quiescectl: request \(try rig.record().id.text): \(reason)"), "\(errors)")
            #expect(!errors.contains(".."), "\(errors)")
            #expect(try rig.record().reason?.hasPrefix(reason) == true)
        }

        @Test func `P3 a daemon that dies under the command is told with status 5`() throws {
            let rig = try rig()
            let program = try start(rig, then: "exit 0")
            rig.daemon.send(SIGKILL)
            try wait(for: "the thaw") { try !FreezeProof.isFrozen("/") }
            try program.waitForLine(in: .errors) { $0.hasPrefix("lost ") }
            try rig.open(gate: "command")
            #expect(try program.waitForExit() == .exited(5))
        }

        @Test func `thawed by force under the command, it is told with status 5`() throws {
            let rig = try rig()
            let program = try start(rig, then: "exit 0")
            #expect(try rig.control("thaw", "--force").ending == .exited(5))
            try rig.open(gate: "command")
            #expect(try program.waitForExit() == .exited(5))
            try rig.expectHealthy(freezing: [])
        }

        @Test func `a failed freeze does not run the command`() throws {
            let rig = try rig()
            try rig.install(hook: "20-fails", "[ $1 = thaw ] || { echo no luck; exit 1; }")
            let program = try rig.exec("touch", "/run/was-run")
            #expect(try program.waitForExit() == .exited(1))
            #expect(program.text(of: .errors).contains("no luck"))
            #expect(!FileManager.default.fileExists(atPath: "/run/was-run"))
        }

        @Test(arguments: [(end: "exit 7", status: CInt(7)), ("exit 0", 1)])
        func `a record that cannot be printed hides no exit status`(end: String, status: CInt) throws {
            let rig = try rig()
            let result = try RunningProgram.run(
                "sh",
                [
                    "-c",
                    "\(ScratchWorld.programs.appending("quiescectl")) exec --json --config \(rig.configuration) "
                        + "-- sh -c '\(end)' > /dev/full",
                ])
            #expect(result.ending == .exited(status))
            #expect(result.errors.contains("standard output: it cannot be written"))
        }

        @Test func `P3 the exit status of a command is known, also if the caller ignores SIGCHLD`() throws {
            let rig = try rig()
            let quiescectl = ScratchWorld.programs.appending("quiescectl")
            let result = try RunningProgram.run(
                "sh",
                ["-c", "trap '' CHLD; exec \(quiescectl) exec --config \(rig.configuration) -- sh -c 'exit 7'"])
            #expect(result.ending == .exited(7))
            #expect(try rig.record().reason == "the command exited with status 7")
        }

        @Test func `P7 why a command cannot be run is told after the thaw`() throws {
            let rig = try rig()
            let program = "/run/program-without-interpreter"
            try Data("#!/no/such/interpreter\n".utf8).write(to: URL(fileURLWithPath: program))
            try RunningProgram.output(of: "chmod", ["755", program])
            let result = try RunningProgram.run(
                "sh",
                [
                    "-c",
                    "\(ScratchWorld.programs.appending("quiescectl")) exec --config \(rig.configuration) "
                        + "-- \(program) 2> /run/exec-errors",
                ])
            #expect(result.ending == .exited(126))
            #expect(try rig.record().reason == "the command could not be run")
            #expect(try RunningProgram.output(of: "cat", ["/run/exec-errors"]).contains("it cannot be run: "))
        }

        @Test func `what cannot be run does not freeze`() throws {
            let rig = try rig()
            #expect(try rig.exec("no-such-program").waitForExit() == .exited(2))
            #expect(try rig.traced() == [])
        }

        @Test func `TERM reaches the command, and then everything is thawed`() throws {
            let rig = try rig()
            let program = try rig.exec(
                "sh", "-c", "trap 'exit 9' TERM; echo running; while :; do sleep 0.05; done")
            try program.waitForLine(in: .output) { $0 == "running" }
            program.send(SIGTERM)
            #expect(try program.waitForExit() == .exited(9))
            #expect(try !FreezeProof.isFrozen("/"))
        }

        @Test func `Ctrl-C ends the command, and then everything is thawed`() throws {
            let rig = try rig()
            let program = try rig.exec("sleep", "60")
            try rig.waitUntil(.frozen)
            // As a terminal does: to the whole group.
            kill(-program.processIdentifier, SIGINT)
            #expect(try program.waitForExit() == .exited(130))
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.record().reason == "cancelled by the caller: the command exited with status 130")
        }

        @Test(arguments: ["> /exec-output", "2> /exec-output"])
        func `P7 output that goes to a file on a filesystem of the plan is refused beforehand`(output: String)
            throws
        {
            let rig = try rig()
            let result = try exec(rig, "true", output)
            #expect(result.ending == .exited(2))
            let errors = result.errors + (try RunningProgram.output(of: "cat", ["/exec-output"]))
            let name = output.hasPrefix("2") ? "standard error" : "standard output"
            #expect(
                errors.contains("quiescectl: \(name): goes to a file on /, which would be frozen"), "\(errors)")
            #expect(try rig.traced() == [], "nothing was frozen, and no hook was called")
        }

        @Test func `P7 output that goes to an overlay whose files are on a filesystem of the plan is refused`()
            throws
        {
            let rig = try rig()
            try RunningProgram.output(
                of: "sh",
                [
                    "-ec",
                    "mkdir -p /run/exec/lower /run/exec/merged /exec-overlay/upper /exec-overlay/work; "
                        + "mount -t overlay -o lowerdir=/run/exec/lower,upperdir=/exec-overlay/upper,"
                        + "workdir=/exec-overlay/work none /run/exec/merged",
                ])
            let result = try exec(rig, "true", "> /run/exec/merged/output")
            #expect(result.ending == .exited(2), "\(result)")
            #expect(
                result.errors.contains(
                    "goes to a file on /run/exec/merged, which is stored on /, which would be frozen"),
                "\(result)")
            #expect(try rig.traced() == [], "nothing was frozen, and no hook was called")
            try RunningProgram.output(of: "umount", ["/run/exec/merged"])
        }

        @Test func `output that goes to a file on another filesystem is not refused`() throws {
            let rig = try rig()
            #expect(try exec(rig, "true", "> /run/exec-output 2>&1").ending == .exited(0))
            #expect(try RunningProgram.output(of: "cat", ["/run/exec-output"]).contains("thawed      /"))
            let excluding = try self.rig(["filesystems": "exclude = [\"/\"]\nunfreezable = \"sync\""])
            let filesystem = try ScratchFilesystem(.ext4)
            #expect(try exec(excluding, "true", "> /exec-output-2").ending == .exited(0))
            try excluding.waitUntilReleased()
            try filesystem.remove()
        }

        private func exec(_ rig: DaemonRig, _ command: String, _ output: String) throws -> DaemonRig.Outcome {
            try RunningProgram.run(
                "sh",
                [
                    "-c",
                    "\(ScratchWorld.programs.appending("quiescectl")) exec --config \(rig.configuration) -- \(command) "
                        + output,
                ])
        }
    }
}
