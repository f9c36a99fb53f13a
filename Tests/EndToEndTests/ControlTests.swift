import Channels
import ControlProtocol
import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

/// Requests by hand, and what the daemon tells of itself.
extension EndToEnd {
    @Suite struct ControlTests {
        private static let hook = ["10-note": "echo $1 $QUIESCE_CHANNEL $QUIESCE_RESULT >> $TRACE"]

        private func rig(
            _ configuration: [String: String] = [:], hooks: [String: String] = Self.hook
        ) throws -> DaemonRig {
            let rig = try DaemonRig(configuration: configuration, hooks: hooks)
            try rig.waitForSocket()
            return rig
        }

        @Test func `freeze by hand outlives its caller, and thaw ends it`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try rig()
            #expect(try rig.status().state == .idle)
            let freeze = try rig.control("freeze")
            #expect(freeze.ending == .exited(0), "\(freeze.errors)")
            #expect(freeze.output.contains("Frozen"))
            #expect(try FreezeProof.isFrozen(filesystem.mountPoint) && FreezeProof.isFrozen("/"))

            let status = try rig.status()
            #expect(status.state == .frozen)
            #expect(status.request?.channel == "control")
            #expect(status.request?.filesystems.allSatisfy { $0.progress == "frozen" } == true)
            #expect(try #require(status.request?.windowLeft) > 1000)

            let thaw = try rig.control("thaw")
            #expect(thaw.ending == .exited(0), "\(thaw.errors)")
            #expect(thaw.output.contains("succeeded, level application"))
            #expect(try !FreezeProof.isFrozen(filesystem.mountPoint) && !FreezeProof.isFrozen("/"))
            #expect(try rig.traced() == ["freeze control", "thaw control ok"])
            #expect(try rig.record().channel == .control)
            try rig.waitUntilReleased()
            let good = try #require(try rig.status().lastGoodBackup)
            #expect(good.level == "application" && good.age < 60_000)
            let text = try rig.control("status").output.split(whereSeparator: \.isWhitespace).joined(
                separator: " ")
            #expect(text.contains("Last good application (hooks: "), "\(text)")
            #expect(text.contains("through the channel control (request \(good.id))"), "\(text)")
            try filesystem.remove()
        }

        @Test func `P8 a second request is busy at once, whoever asks`() throws {
            let rig = try rig()
            #expect(try rig.control("freeze").ending == .exited(0))
            let second = try rig.control("freeze")
            #expect(second.ending == .exited(4), "\(second.errors)")
            #expect(second.errors.contains("quiescectl: quiesced: busy: request "), "it is named once")
            #expect(try rig.exec("true").waitForExit() == .exited(4))
            #expect(try rig.freeze().status == .failure)
            #expect(try FreezeProof.isFrozen("/"), "none of it has ended the first")
            #expect(try rig.control("thaw").ending == .exited(0))
            #expect(try rig.thaw().status == .success, "harmless: its FREEZE had failed")
        }

        @Test func `P3 what is another's is thawed only by force, and then is lost`() throws {
            let rig = try rig()
            #expect(try rig.control("thaw").ending == .exited(1))
            #expect(try rig.freeze().status == .success)
            let refused = try rig.control("thaw")
            #expect(refused.ending == .exited(1))
            #expect(refused.errors.contains("--force"), "\(refused.errors)")
            #expect(try FreezeProof.isFrozen("/"))

            let forced = try rig.control("thaw", "--force")
            #expect(forced.ending == .exited(5), "\(forced.errors)")
            #expect(forced.output.contains("LOST"))
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try rig.status().lost.map(\.channel) == ["hyperv"])
            #expect(try rig.control("status").output.contains("LOST"))
            #expect(try rig.thaw().status == .failure)
            #expect(try rig.status().lost == [])
            try rig.expectHealthy(freezing: [])
        }

        @Test func `a window that ended early is told with status 5`() throws {
            let rig = try rig(["freeze": "timeout = \"900ms\"\nmax_window = \"1s\""])
            #expect(try rig.control("freeze").ending == .exited(0))
            try rig.waitUntil(.idle)
            #expect(try !FreezeProof.isFrozen("/"))
            let thaw = try rig.control("thaw")
            #expect(thaw.ending == .exited(5), "\(thaw.errors)")
            #expect(thaw.errors.contains("max_window"))
        }

        @Test func `P3 thaw of a request that is over does not end the next one`() throws {
            let rig = try rig(["freeze": "timeout = \"900ms\"\nmax_window = \"3s\""])
            let freeze = try rig.control("freeze", "--json")
            let first = try JSONDecoder().decode(FreezeReply.self, from: Data(freeze.output.utf8)).request
            try rig.waitUntil(.idle)
            #expect(try rig.control("freeze").ending == .exited(0))
            let late = try rig.control("thaw", "--request", first)
            #expect(late.ending == .exited(5), "\(late.errors)")
            #expect(try rig.status().state == .frozen)
            #expect(try rig.control("thaw").ending == .exited(0))
        }

        @Test func `a rehearsal freezes, and is no backup anywhere`() throws {
            let rig = try rig()
            #expect(try rig.control("freeze", "--rehearsal").ending == .exited(0))
            #expect(try FreezeProof.isFrozen("/"))
            let thaw = try rig.control("thaw")
            #expect(thaw.ending == .exited(0) && thaw.output.contains("rehearsal succeeded"), "\(thaw)")
            #expect(try rig.record().options.isRehearsal)
            try rig.waitUntilReleased()
            let exec = try RunningProgram.run(
                ScratchWorld.programs.appending("quiescectl"),
                ["exec", "--rehearsal", "--config", rig.configuration.string, "--", "true"],
                environment: rig.environment, within: .seconds(40))
            #expect(exec.ending == .exited(0), "\(exec)")
            #expect(try rig.record(number: 2).options.isRehearsal)
            try rig.waitUntilReleased()
            #expect(try rig.status().lastGoodBackup == nil)
            #expect(try rig.control("history").output.contains("rehearsal"))
        }

        @Test func `Ctrl-C during freeze cancels, and the hooks are called for thaw`() throws {
            let rig = try rig(hooks: [
                "10-slow": "echo $1${QUIESCE_RESULT:+ $QUIESCE_RESULT} >> $TRACE; [ $1 = thaw ] || sleep 60"
            ])
            let freeze = try rig.controlling("freeze")
            try rig.waitForTrace("freeze")
            freeze.send(SIGINT)
            #expect(try freeze.waitForExit(within: .seconds(30)) == .exited(1))
            #expect(try rig.traced() == ["freeze", "thaw failed"], "it returns when the thaw hooks are done")
            #expect(try !FreezeProof.isFrozen("/"))
            let record = try rig.record()
            #expect(record.reason == "cancelled by the caller")
            let errors = freeze.text(of: .errors)
            #expect(
                errors.contains("request \(record.id): cancelled before FREEZE was complete.\n"), "\(errors)")
        }

        @Test func `Ctrl-C in exec before the freeze cancels, and the hooks are called for thaw`() throws {
            let rig = try rig(hooks: [
                "10-slow": "echo $1${QUIESCE_RESULT:+ $QUIESCE_RESULT} >> $TRACE; [ $1 = thaw ] || sleep 60"
            ])
            let exec = try rig.exec("touch", "/run/was-run-though-cancelled")
            try rig.waitForTrace("freeze")
            exec.send(SIGINT)
            #expect(try exec.waitForExit(within: .seconds(30)) == .exited(1))
            #expect(try rig.traced() == ["freeze", "thaw failed"], "it returns when the thaw hooks are done")
            let record = try rig.record()
            #expect(record.reason == "cancelled by the caller" && record.channel.name == "exec")
            #expect(!FileManager.default.fileExists(atPath: "/run/was-run-though-cancelled"))
        }

        /// What a command that needs only the socket says of a configuration that is not accepted.
        @Test(arguments: ["[freeze\ntimeout = \"10s\"\n", "[freeze]\ntimeout = 10\n"])
        func `P1 a mistake in the configuration leaves the way to the daemon open`(mistake: String) throws {
            let rig = try rig()
            let good = try String(contentsOfFile: rig.configuration.string, encoding: .utf8)
            // Not on a filesystem that is frozen.
            let broken = "\(rig.runDirectory).toml"
            try Data((mistake + good).utf8).write(to: URL(fileURLWithPath: broken))
            func control(_ arguments: String...) throws -> DaemonRig.Outcome {
                try RunningProgram.run(
                    ScratchWorld.programs.appending("quiescectl"), arguments + ["--config", broken])
            }
            #expect(try control("freeze").ending == .exited(0))
            let status = try control("status")
            #expect(status.ending == .exited(0) && status.output.contains("frozen"), "\(status.errors)")
            #expect(status.errors.hasPrefix("quiescectl: \(broken):"), "\(status.errors)")
            #expect(status.errors.contains("going on with the control socket \(rig.socket)"), "\(status.errors)")
            let thaw = try control("thaw", "--force")
            #expect(thaw.ending == .exited(0), "\(thaw.errors)")
            #expect(try !FreezeProof.isFrozen("/"))
            #expect(try control("freeze").ending == .exited(0))
            #expect(try control("recover", "--force").ending == .exited(0))
            #expect(try !FreezeProof.isFrozen("/"))
            try rig.waitUntil(.idle)
            #expect(try rig.record(number: 2).reason == "thawed by hand: quiescectl recover --force")
            #expect(try control("acknowledge").ending == .exited(0))
            let exec = try RunningProgram.run(
                ScratchWorld.programs.appending("quiescectl"), ["exec", "--config", broken, "--", "true"])
            #expect(exec.ending == .exited(0), "\(exec.errors)")
            try rig.waitUntilReleased()
        }

        @Test func `--socket leads to the daemon, whatever the configuration says`() throws {
            let rig = try rig()
            try Data("[control]\nsocket = \"/run/no-such-socket\"\n".utf8).write(
                to: URL(fileURLWithPath: rig.configuration.string))
            #expect(try rig.control("status").ending == .exited(3))
            let status = try rig.control("status", "--socket", rig.socket.string)
            #expect(status.ending == .exited(0) && status.errors.isEmpty, "\(status.errors)")
        }

        @Test func `check fails without a daemon, but before the start`() throws {
            let rig = try DaemonRig(isStarted: false)
            let check = try rig.control("check")
            #expect(
                check.ending == .exited(1) && check.output.contains("quiesced does not run"), "\(check.output)")
            let before = try rig.control("check", "--before-start")
            #expect(before.ending == .exited(0), "\(before.output)")
            #expect(!before.output.contains("quiesced does not run"))
            try rig.start()
            try rig.waitForSocket()
            let after = try rig.control("check")
            #expect(after.ending == .exited(0), "\(after.output)")
            #expect(after.output.contains("quiesced answers on \(rig.socket)"), "\(after.output)")
        }

        @Test(arguments: [
            (output: "/freeze-output", ending: RunningProgram.Ending.exited(5)), ("/dev/full", .exited(1)),
        ])
        func `P2 a freeze that cannot be told in time is no success`(
            output: String, ending: RunningProgram.Ending
        ) throws {
            let rig = try rig(["freeze": "timeout = \"900ms\"\nmax_window = \"2s\""])
            let program = try RunningProgram(
                "sh",
                [
                    "-c",
                    "\(ScratchWorld.programs.appending("quiescectl")) freeze --config \(rig.configuration) > \(output)",
                ])
            try program.closeInput()
            #expect(try program.waitForExit() == ending, "\(program.text(of: .errors))")
            #expect(try !FreezeProof.isFrozen("/"))
        }

        /// Long before its end: it is the daemon that knows, and no clock of the caller.
        @Test func `P2 a freeze that can be told only because somebody has thawed is no success`() throws {
            let rig = try rig()
            let program = try RunningProgram(
                "sh",
                [
                    "-c",
                    "\(ScratchWorld.programs.appending("quiescectl")) freeze --config \(rig.configuration) > /freeze-output",
                ])
            try program.closeInput()
            try rig.waitUntil(.frozen)
            #expect(try rig.control("thaw").ending == .exited(0))
            #expect(try program.waitForExit() == .exited(5), "\(program.text(of: .errors))")
            #expect(program.text(of: .errors).contains("somebody has thawed"))
        }

        @Test func `freeze shows which hook and which filesystem`() throws {
            let filesystem = try ScratchFilesystem(.xfs)
            let rig = try rig()
            let freeze = try rig.control("freeze")
            let lines = freeze.errors.split(separator: "\n").map(String.init)
            #expect(lines.contains { $0.hasPrefix("hook freeze 10-note  ") }, "\(lines)")
            for mountPoint in ["/", filesystem.mountPoint.string] {
                #expect(
                    lines.contains { $0.hasPrefix("frozen      \(mountPoint) ") && $0.hasSuffix(" ms") },
                    "\(lines)")
            }
            #expect(lines.allSatisfy { $0.count <= 80 && !$0.contains("\u{1B}") })
            let thaw = try rig.control("thaw")
            #expect(thaw.errors.contains("thawed      / "))
            try rig.waitUntilReleased()
            try filesystem.remove()
        }

        @Test(arguments: ["freeze", "exec"])
        func `a freeze that fails is shown to its end`(_ command: String) throws {
            let rig = try rig(hooks: [
                "10-slow": "[ $1 = freeze ] || \(DaemonRig.waiting(forGate: "thaw"))",
                "20-bad": "[ $1 = thaw ] || { echo no luck; exit 3; }",
            ])
            let program = try command == "exec" ? rig.exec("true") : rig.controlling("freeze")
            try program.waitForLine(in: .errors) { $0.hasPrefix("quiescectl: request ") }
            try rig.open(gate: "thaw")
            #expect(try program.waitForExit() == .exited(1))
            let lines = program.text(of: .errors).split(separator: "\n").map(String.init)
            #expect(lines.first?.hasPrefix("planned ") == true, "\(lines)")
            #expect(lines.last?.hasPrefix("hook thaw   10-slow ") == true, "\(lines)")
            let told = lines.filter { $0.contains("20-bad exited with status 3") }
            #expect(told.count == 1 && told[0].hasPrefix("quiescectl: request "), "\(lines)")
            #expect(
                told.first?.hasSuffix("See quiescectl show \(try rig.record().id).") == true, "\(lines)")
        }

        @Test func `without a daemon the status is 3, and the error says what to do`() throws {
            let rig = try DaemonRig(isStarted: false)
            for arguments in [["status"], ["freeze"], ["thaw"]] {
                let outcome = try rig.control(arguments[0])
                #expect(outcome.ending == .exited(3), "\(arguments): \(outcome.errors)")
                #expect(outcome.errors.contains("systemctl start quiesced"))
            }
            #expect(try rig.exec("true").waitForExit() == .exited(3))
        }

        @Test func `only root may ask`() throws {
            let rig = try rig()
            let mode = try RunningProgram.output(of: "stat", ["--format", "%a %u %F", rig.socket.string])
            #expect(mode == "600 0 socket")
            // The directory, which is root's alone, is opened to the other user: the socket must hold by itself.
            try RunningProgram.output(of: "chmod", ["755", rig.runDirectory.string])
            try RunningProgram.output(of: "chmod", ["666", rig.socket.string])
            let outcome = try RunningProgram.run(
                "setpriv",
                [
                    "--reuid", "65534", "--clear-groups",
                    ScratchWorld.programs.appending("quiescectl").string, "status", "--config",
                    rig.configuration.string,
                ])
            #expect(outcome.ending == .exited(3), "\(outcome.output) \(outcome.errors)")
            #expect(try rig.status().state == .idle)
        }

        @Test func `in a dry run freeze and exec say success, marked dry, and run nothing`() throws {
            let rig = try DaemonRig(hooks: Self.hook, isStarted: false)
            try rig.start("--dry-run")
            try rig.waitForSocket()
            let freeze = try rig.control("freeze", "--json")
            #expect(freeze.ending == .exited(0), "\(freeze.errors)")
            #expect(try JSONDecoder().decode(FreezeReply.self, from: Data(freeze.output.utf8)).dryRun)
            #expect(try rig.status().state == .rehearsing)
            #expect(try !FreezeProof.isFrozen("/"))
            let thaw = try rig.control("thaw")
            #expect(thaw.ending == .exited(0))
            #expect(thaw.output.contains("dry run succeeded"))
            #expect(try rig.exec("touch", "/run/dry-run-was-run").waitForExit() == .exited(0))
            #expect(!FileManager.default.fileExists(atPath: "/run/dry-run-was-run"))
            #expect(try rig.control("status").output.contains("dry run"))
            #expect(try rig.status().lastGoodBackup == nil, "a rehearsal is no backup")
            #expect(try rig.status().lastBackup?.dryRun == true)
            #expect(try rig.control("status").output.contains("Last       dry run, "))
            #expect(try rig.traced() == [])
        }
    }
}
