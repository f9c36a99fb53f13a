import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A daemon that cannot do its work says why, at once, and what to do; one that can wait waits.
extension EndToEnd {
    @Suite struct StartFaultTests {
        /// How a daemon that cannot start ended, and what it said.
        private static func end(
            of rig: DaemonRig, through wrapper: [String] = []
        ) throws -> (ending: RunningProgram.Ending, errors: String) {
            let daemon = ScratchWorld.programs.appending("quiesced").string
            let words = wrapper + [daemon, "--config", rig.configuration.string]
            let (ending, _, errors) = try RunningProgram.run(FilePath(words[0]), Array(words.dropFirst()))
            return (ending, errors)
        }

        // MARK: The run directory

        @Test func `a run directory that could be frozen itself is refused`() throws {
            let rig = try DaemonRig(configuration: ["paths": "run = \"/var/lib/quiesce-run\""], isStarted: false)
            let (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(1))
            #expect(errors.contains("/var/lib/quiesce-run: the run directory is not on a tmpfs"), "\(errors)")
            #expect(errors.contains("paths.run"))
        }

        @Test(arguments: [
            ("mkdir --mode 755 DIR", "its mode is 0755"),
            ("mkdir --mode 700 DIR; chown nobody DIR", "owned by"), ("touch DIR", "it is not a directory"),
        ])
        func `a run directory that others can use is refused`(preparation: String, words: String) throws {
            let rig = try DaemonRig(isStarted: false)
            let path = rig.runDirectory.string
            try RunningProgram.output(of: "sh", ["-c", preparation.replacing("DIR", with: path)])
            let (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(1) || ending == .exited(2))
            #expect(errors.contains(path), "\(errors)")
            #expect(errors.contains(words), "\(errors)")
        }

        @Test func `P8 a second daemon on the same run directory is refused, and the first one goes on`() throws {
            let rig = try DaemonRig()
            let (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(1))
            #expect(errors.contains("another quiesced is running on this run directory"), "\(errors)")
            try rig.expectHealthy(freezing: [])
        }

        @Test(arguments: ["", "garbage", "QUIESCE1"])
        func `P1 a ledger that cannot be understood is said, and in nobody's way`(contents: String) throws {
            let rig = try DaemonRig(isStarted: false)
            let ledger = rig.runDirectory.appending("ledger").string
            try RunningProgram.output(of: "mkdir", ["--mode", "700", rig.runDirectory.string])
            try Data(contents.utf8).write(to: URL(fileURLWithPath: ledger))
            try rig.start()
            try rig.daemon.waitForLine { $0.contains("error") && $0.contains(ledger) }
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
        }

        // MARK: Hooks

        @Test func `P2 a hook directory that cannot be read fails a FREEZE by name, none at all is in order`()
            throws
        {
            let rig = try DaemonRig()
            try RunningProgram.output(of: "rm", ["-r", rig.hookDirectory.string])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().level == .filesystem)
            try RunningProgram.output(of: "touch", [rig.hookDirectory.string])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record(number: 2).reason?.contains(rig.hookDirectory.string) == true)
        }

        // MARK: Privileges

        @Test func `P2 without CAP_SYS_ADMIN a FREEZE fails, naming the filesystem and the privilege`() throws {
            let rig = try DaemonRig(isStarted: false)
            let daemon = try RunningProgram(
                "setpriv",
                [
                    "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin",
                    ScratchWorld.programs.appending("quiesced").string, "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            #expect(try !FreezeProof.isFrozen("/"))
            let reason = try #require(try rig.record().reason)
            #expect(reason.hasPrefix("/: ") && reason.contains("CAP_SYS_ADMIN"), "\(reason)")
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
        }

        @Test func `P2 without CAP_IPC_LOCK no freezer gets ready, and a FREEZE fails saying so`() throws {
            let rig = try DaemonRig(isStarted: false)
            let daemon = try RunningProgram(
                "setpriv",
                [
                    "--bounding-set", "-ipc_lock", "--inh-caps", "-ipc_lock", "sh", "-c",
                    "ulimit -l 64; exec \"$@\"", "sh",
                    ScratchWorld.programs.appending("quiesced").string, "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            try daemon.waitForLine { $0.contains("quiesce-freezer") && $0.contains("CAP_IPC_LOCK") }
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            let answer = try rig.freeze()
            #expect(answer.status == .failure)
            let reason = try #require(try rig.record().reason)
            #expect(reason.contains("freezer"), "\(reason)")
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
        }

        @Test func `a daemon that is not root refuses to start, and says so`() throws {
            let rig = try DaemonRig(isStarted: false)
            let (ending, errors) = try Self.end(
                of: rig, through: ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"])
            #expect(ending == .exited(1))
            #expect(errors.contains("root"), "\(errors)")
        }

        @Test func `without its freezer a daemon refuses to start, and says where it belongs`() throws {
            let rig = try DaemonRig(isStarted: false)
            let alone: FilePath = "/quiesce/alone"
            try RunningProgram.output(of: "mkdir", ["-p", alone.string])
            let copy = alone.appending("quiesced").string
            try RunningProgram.output(of: "ln", ["-f", "\(ScratchWorld.programs)/quiesced", copy])
            let (ending, _, errors) = try RunningProgram.run(
                FilePath(copy), ["--config", rig.configuration.string])
            #expect(ending == .exited(1))
            #expect(errors.contains("quiesce-freezer: the helper that freezes is not there"), "\(errors)")
            #expect(errors.contains("\(alone)/quiesce-freezer"))
        }

        @Test(arguments: [("chmod a-x FREEZER", "Run: chmod 755"), ("chmod o+w FREEZER", "Run: chmod go-w")])
        func `a freezer that cannot be run, or that others can change, is refused with a remedy`(
            change: String, remedy: String
        ) throws {
            let rig = try DaemonRig(isStarted: false)
            let directory = rig.configuration.removingLastComponent()
            let freezer = directory.appending("quiesce-freezer").string
            let programs = ScratchWorld.programs
            try RunningProgram.output(
                of: "cp", ["\(programs)/quiesced", "\(programs)/quiesce-freezer", "\(directory)"])
            try RunningProgram.output(of: "sh", ["-c", change.replacing("FREEZER", with: freezer)])
            let (ending, _, errors) = try RunningProgram.run(
                directory.appending("quiesced"), ["--config", rig.configuration.string])
            #expect(ending == .exited(remedy.contains("go-w") ? 2 : 1))
            #expect(errors.contains("\(remedy) \(freezer)"), "\(errors)")
        }

        // MARK: Limits

        /// Below some ten files the C library does not load it, or Swift's runtime does not start.
        @Test(arguments: [12, 16, 20, 64])
        func `too few open files are named as what is wrong, with where to change it`(limit: Int) throws {
            let rig = try DaemonRig(isStarted: false)
            let (ending, errors) = try Self.end(
                of: rig, through: ["sh", "-c", "ulimit -n \(limit); exec \"$@\"", "sh"])
            #expect(ending == .exited(1))
            #expect(errors.contains("files open at a time") && errors.contains("LimitNOFILE="), "\(errors)")
        }

        /// What a login shell's soft limit says is not asked of the admin.
        @Test func `a soft limit of open files is raised as far as need be`() throws {
            let rig = try DaemonRig(isStarted: false)
            let daemon = try RunningProgram(
                "sh",
                [
                    "-c", "ulimit -S -n 20; exec \"$@\"", "sh", ScratchWorld.programs.appending("quiesced").string,
                    "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            #expect(rig.host.waitForRegistration(until: .now + .seconds(15)))
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit(within: .seconds(20)) == .exited(0))
        }

        // MARK: Configuration

        @Test(arguments: ["--bogus", "stray", "--config"])
        func `wrong usage ends with status 2, and shows how it is used`(argument: String) throws {
            let (ending, output, errors) = try RunningProgram.run(
                ScratchWorld.programs.appending("quiesced"), [argument])
            #expect(ending == .exited(2))
            #expect(errors.hasPrefix("quiesced: ") && errors.contains(argument), "\(errors)")
            #expect(errors.contains("Usage: quiesced"), "\(errors)")
            #expect(output == "")
            let help = try RunningProgram.run(ScratchWorld.programs.appending("quiesced"), ["--help"])
            #expect(help.ending == .exited(0) && help.output.contains("--config"))
        }

        @Test(arguments: [
            ("freeze", "timeout = 10", "freeze.timeout"), ("freeze", "timeout = \"10\"", "freeze.timeout"),
            ("freeze", "timout = \"10s\"", "freeze.timout"),
            ("hooks", "on_failure = \"ignore\"", "hooks.on_failure"),
            ("hooks", "total_timeout = \"20m\"", "hooks.total_timeout"), ("freezer", "x = 1", "freezer"),
            ("filesystems", "exclude = [\"UUID=\"]", "filesystems.exclude"),
            ("filesystems", "include = [\"/\", \"home\"]", "filesystems.include"),
            ("filesystems", "include = [\"/[\"]", "filesystems.include"),
        ])
        func `complaint 11: a wrong configuration, such as a timeout without a unit, names file and key`(
            section: String, line: String, key: String
        ) throws {
            let rig = try DaemonRig(configuration: [section: line], isStarted: false)
            let (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(2))
            #expect(errors.contains(rig.configuration.string), "\(errors)")
            #expect(errors.contains("\(key):"), "\(errors)")
            let plan = try rig.control("plan")
            #expect(plan.ending == .exited(2))
            #expect(plan.errors.contains("\(rig.configuration):") && plan.errors.contains("\(key):"))
        }

        @Test func `a configuration that is no TOML is refused with its line, one that is missing by its name`()
            throws
        {
            let rig = try DaemonRig(configuration: ["freeze": "timeout = = 1"], isStarted: false)
            var (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(2))
            #expect(errors.contains("\(rig.configuration):"), "\(errors)")
            try RunningProgram.output(of: "rm", [rig.configuration.string])
            (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(2))
            #expect(errors.contains("\(rig.configuration): it cannot be read"), "\(errors)")
        }

        @Test(arguments: ["chmod o+w FILE", "chmod g+w FILE", "chown nobody FILE", "chmod o+w $(dirname FILE)"])
        func `a configuration that others can change is refused`(change: String) throws {
            let rig = try DaemonRig(isStarted: false)
            let command = change.replacing("FILE", with: rig.configuration.string)
            try RunningProgram.output(of: "sh", ["-c", command])
            let (ending, errors) = try Self.end(of: rig)
            #expect(ending == .exited(2))
            #expect(errors.contains(rig.configuration.string), "\(errors)")
            #expect(errors.contains("writable by") || errors.contains("not by root"), "\(errors)")
            #expect(errors.contains("Run: ch"), "\(errors)")
        }

        // MARK: The device

        @Test func `a device that is missing is said once, and used when it appears`() throws {
            let rig = try DaemonRig(isStarted: false)
            let device = rig.host.devicePath
            rig.host.close()
            try rig.launch()
            try rig.daemon.waitForLine { $0.contains("\(device): there is no such device") }
            let host = try HyperVHostSimulator(at: device)
            defer { host.close() }
            #expect(host.waitForRegistration(until: .now + .seconds(35)))
            try rig.daemon.waitForLine { $0.contains("registered with the Hyper-V host") }
            #expect(rig.log.split(separator: "\n").count { $0.contains("there is no such device") } == 1)
            try rig.expectHealthy(freezing: [], by: host)
        }

        /// A pty refuses a second opener (TIOCEXCL, ioctl_tty(2)) unless it has CAP_SYS_ADMIN; the driver refuses all.
        @Test func `who holds the device is named`() throws {
            let rig = try DaemonRig(isStarted: false)
            let holder = try FileDescriptor.open(
                rig.host.devicePath, .readWrite, options: [.closeOnExec, .init(rawValue: O_NOCTTY)])
            defer { try? holder.close() }
            #expect(ioctl(holder.rawValue, UInt(TIOCEXCL)) == 0)
            let daemon = try RunningProgram(
                "setpriv",
                [
                    "--bounding-set", "-sys_admin", "--inh-caps", "-sys_admin",
                    ScratchWorld.programs.appending("quiesced").string, "--config", rig.configuration.string,
                ])
            try daemon.closeInput()
            let line = try daemon.waitForLine { $0.contains("has the device open, and only one process can") }
            #expect(line.contains(rig.host.devicePath.string) && line.contains("\(getpid())"), "\(line)")
            #expect(ioctl(holder.rawValue, UInt(TIOCNXCL)) == 0)
            #expect(rig.host.waitForRegistration(until: .now + .seconds(35)))
            daemon.send(SIGTERM)
            #expect(try daemon.waitForExit() == .exited(0))
        }
    }
}
