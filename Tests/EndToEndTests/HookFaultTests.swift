import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Hooks that fail in every way that hooks fail: the host is told in time, and no application is left waiting.
extension EndToEnd {
    @Suite struct HookFaultTests {
        /// How the second of three hooks fails its freeze.
        enum Fault: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case exits, crashes, hangs, hangsDeafToTermination, hasNoInterpreter

            var testDescription: String { rawValue }

            /// What it does in freeze; nothing outlives it.
            var script: String {
                switch self {
                case .exits: "echo the database is gone; exit 3"
                case .crashes: "echo the database is gone; kill -SEGV $$"
                case .hangs: "echo the database is gone; sleep 86397"
                case .hangsDeafToTermination:
                    "trap '' TERM; echo the database is gone; while :; do sleep 86397; done"
                case .hasNoInterpreter: ""
                }
            }

            /// In the record's reason.
            var words: String {
                switch self {
                case .exits: "exited with status 3"
                case .crashes: "was ended by signal 11"
                case .hangs, .hangsDeafToTermination: "did not end within its timeout and was killed"
                case .hasNoInterpreter: "the interpreter that its first line names does not exist"
                }
            }

            var wasStarted: Bool { self != .hasNoInterpreter }
        }

        /// Writes down how it is called, and writes to every filesystem: if one were frozen, that would not return.
        static func hook(
            _ name: String, writingTo mountPoints: [FilePath], freeze: String = "", thaw: String = ""
        ) -> String {
            """
            echo "\(name) $1${QUIESCE_RESULT:+ $QUIESCE_RESULT}" >> $TRACE
            for mount in \(mountPoints.map(\.string).joined(separator: " ")); do touch "$mount/hook" || exit 9; done
            case $1 in
            freeze)
            \(freeze)
            ;;
            thaw)
            \(thaw)
            ;;
            esac
            """
        }

        @Test(arguments: Fault.allCases)
        func `complaint 11, P2 P4: a hook that fails ends the request, and each started hook is called back once`(
            fault: Fault
        ) throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let all = [filesystem.mountPoint, "/"]
            let rig = try DaemonRig(
                configuration: ["hooks": "timeout = \"1s\""],
                hooks: [
                    "10-first": Self.hook("10", writingTo: all), "30-last": Self.hook("30", writingTo: all),
                    "20-faulty": Self.hook("20", writingTo: all, freeze: fault.script),
                ])
            if !fault.wasStarted {
                try Data("#!/nowhere/sh\n".utf8).write(
                    to: URL(fileURLWithPath: rig.hookDirectory.appending("20-faulty").string))
            }

            let answer = try rig.freeze()
            #expect(answer.status == .failure)
            #expect(answer.duration < .seconds(9))
            // A THAW after a FREEZE that failed is harmless (P3).
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let twentyThaws = fault.wasStarted ? ["20 thaw failed"] : []
            #expect(
                try rig.traced()
                    == ["10 freeze"] + (fault.wasStarted ? ["20 freeze"] : []) + twentyThaws + ["10 thaw failed"])

            #expect(record.result == .failed)
            #expect(!record.isAnsweredWithSuccess)
            let reason = try #require(record.reason)
            #expect(reason.contains("20-faulty") && reason.contains(fault.words), "\(reason)")
            if fault.wasStarted {
                #expect(reason.contains("the database is gone"), "\(reason)")
                let run = record.hooks.first { $0.name == "20-faulty" && $0.phase == .freeze }
                #expect(run?.output.contains("the database is gone") == true)
            }
            // Nothing was frozen at any time.
            #expect(record.window == nil)
            #expect(record.filesystems.allSatisfy { $0.freeze == nil && $0.thaw == nil })
            #expect(try RunningProgram.run("pgrep", ["-f", "sleep 86397"]).ending == .exited(1))

            try rig.install(hook: "20-faulty", Self.hook("20", writingTo: all))
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }

        /// The disk dies between the plan, which looks at the hooks, and the call.
        @Test(arguments: OpenPermissionListener.Access.allCases)
        func `P2 P4 P9 a hook on a disk that does not answer is given up in time, and does not start later`(
            access: OpenPermissionListener.Access
        ) throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "timeout = \"2s\""],
                hooks: [
                    "10-gate": """
                    echo 10 $1 >> $TRACE
                    if [ $1 = freeze ]; then \(DaemonRig.waiting(forGate: "first")); fi
                    """,
                    "20-slow": "echo 20 $1 >> $TRACE",
                ])
            let answer = PendingAnswer(.freeze, of: rig.host)
            try rig.waitForTrace("10 freeze")
            let disk = try OpenPermissionListener(rig.hookDirectory.appending("20-slow"), access)
            try rig.open(gate: "first")
            let failure = try answer.value()
            #expect(failure.status == .failure && failure.duration < .seconds(12), "\(failure)")
            let record = try rig.record()
            let words =
                access == .opening
                ? "its time was up before it could be started" : "did not end within its timeout"
            #expect(record.reason?.contains(words) == true, "\(record.reason ?? "")")
            try rig.waitUntilReleased()
            disk.release()
            // Nothing tells when what does not happen would have happened.
            usleep(500_000)
            #expect(try rig.traced() == ["10 freeze", "10 thaw"])
            _ = try ProcessStatus.settled(of: rig.daemon.processIdentifier)
            try rig.expectHealthy(freezing: [])
            #expect(try rig.stop() == .exited(0))
        }

        /// Why a hook is not run at all.
        enum Distrust: String, CaseIterable, Sendable {
            case writableByEverybody, linkToUntrusted, notExecutable, ownedByAnother, linkInACircle,
                parentIsWritable

            var words: String {
                switch self {
                case .writableByEverybody: "is writable by everybody"
                case .linkToUntrusted: "/tmp is writable by everybody"
                case .notExecutable: "is not executable"
                case .ownedByAnother: "is owned by user 65534"
                case .linkInACircle: "symbolic links"
                case .parentIsWritable: "is writable by its group"
                }
            }

            func install(in rig: DaemonRig) throws {
                let path = rig.hookDirectory.appending("20-distrusted").string
                switch self {
                case .writableByEverybody:
                    try rig.install(hook: "20-distrusted", "echo 20 ran >> $TRACE", mode: "777")
                case .notExecutable:
                    try rig.install(hook: "20-distrusted", "echo 20 ran >> $TRACE", mode: "644")
                case .ownedByAnother:
                    try rig.install(hook: "20-distrusted", "echo 20 ran >> $TRACE")
                    try RunningProgram.output(of: "chown", ["nobody", path])
                case .linkInACircle:
                    try RunningProgram.output(of: "ln", ["-s", "20-distrusted", path])
                case .parentIsWritable:
                    try rig.install(hook: "20-distrusted", "echo 20 ran >> $TRACE")
                    try RunningProgram.output(of: "chmod", ["775", rig.hookDirectory.string])
                case .linkToUntrusted:
                    let target = "\(rig.trace).hook"
                    try Data("#!/bin/sh\necho 20 ran >> \(rig.trace)\n".utf8).write(
                        to: URL(fileURLWithPath: target))
                    try RunningProgram.output(of: "chmod", ["755", target])
                    try RunningProgram.output(of: "ln", ["-s", target, path])
                }
            }
        }

        @Test(arguments: Distrust.allCases)
        func `P2 a refused hook fails the request before any hook is run`(distrust: Distrust) throws {
            let rig = try DaemonRig(hooks: ["10-first": "echo 10 $1 >> $TRACE"])
            try distrust.install(in: rig)
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(try rig.traced().isEmpty)
            let reason = try #require(record.reason)
            let isAbout = distrust == .parentIsWritable ? "10-first" : "20-distrusted"
            #expect(reason.contains("\(isAbout) is refused") && reason.contains(distrust.words), "\(reason)")
            #expect(record.refusedHooks.contains { $0.name == "20-distrusted" })
            #expect(record.window == nil)
            try RunningProgram.output(of: "chmod", ["755", rig.hookDirectory.string])
            try RunningProgram.output(of: "rm", [rig.hookDirectory.appending("20-distrusted").string])
            try rig.expectHealthy(freezing: [])
        }

        @Test(arguments: [true, false])
        func `on_failure continue freezes all the same, at the level filesystem`(isRefused: Bool) throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "on_failure = \"continue\""],
                hooks: [
                    "10-first": Self.hook("10", writingTo: ["/"]), "30-last": Self.hook("30", writingTo: ["/"]),
                    "20-faulty": Self.hook("20", writingTo: ["/"], freeze: "exit 3"),
                ])
            if isRefused {
                try RunningProgram.output(
                    of: "chmod", ["777", rig.hookDirectory.appending("20-faulty").string])
            }
            #expect(try rig.freeze().status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            let expected = [
                "10 freeze", "20 freeze", "30 freeze", "30 thaw ok", "20 thaw ok", "10 thaw ok",
            ]
            #expect(try rig.traced() == (isRefused ? expected.filter { !$0.hasPrefix("20") } : expected))
            #expect(record.result == .succeeded)
            #expect(record.level == .filesystem)
            #expect(record.reason?.contains("20-faulty") == true)
        }

        // MARK: Limits of one hook

        @Test func `a hook has a timeout and an on_failure of its own`() throws {
            let rig = try DaemonRig(
                configuration: [
                    "hooks": """
                    timeout = "20s"
                    overrides = { "20-faulty" = { timeout = "1s", on_failure = "continue" } }
                    """
                ],
                hooks: [
                    "10-first": Self.hook("10", writingTo: ["/"]),
                    "20-faulty": Self.hook(
                        "20", writingTo: ["/"], freeze: "echo $QUIESCE_TIMEOUT_SECONDS; sleep 86397",
                        thaw: "echo $QUIESCE_TIMEOUT_SECONDS"),
                ])
            let list = try rig.control("hooks", "list")
            #expect(list.output.contains(/10-first +plain +trusted +20s +abort/), "\(list)")
            #expect(list.output.contains(/20-faulty +plain +trusted +1s +continue/), "\(list)")
            #expect(list.output.split(separator: "\n").allSatisfy { $0.count <= 80 })
            let answer = try rig.freeze()
            #expect(answer.status == .success && answer.duration < .seconds(9), "\(rig.log)")
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.result == .succeeded && record.level == .filesystem)
            #expect(record.reason?.contains("failed hooks: 20-faulty") == true)
            #expect(record.hooks.filter { $0.name == "20-faulty" }.map(\.output) == ["1\n", "1\n"])
            // Alone, a failure is one.
            let rehearsal = try rig.control("hooks", "run", "20-faulty")
            #expect(rehearsal.ending == .exited(1), "\(rehearsal)")
            #expect(try rig.traced().suffix(2) == ["20 freeze", "20 thaw failed"])

            // A request of another agent has the same limits.
            let held = try rig.control("hooks", "freeze")
            #expect(held.ending == .exited(0), "\(held)")
            #expect(try rig.control("hooks", "thaw").ending == .exited(0))
        }

        @Test func `an override makes one hook decide where the others do not`() throws {
            let rig = try DaemonRig(
                configuration: [
                    "hooks": """
                    on_failure = "continue"
                    overrides = { "20-vital" = { on_failure = "abort" } }
                    """
                ], hooks: ["10-other": "exit 1", "20-vital": "exit 3"])
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.record().reason?.contains("20-vital exited with status 3") == true)
        }

        @Test func `a failure of a shipped hook that only shortens recovery lowers the level, unless overridden`()
            throws
        {
            for override in ["", "\noverrides = { 50-postgresql = { on_failure = \"abort\" } }"] {
                let rig = try DaemonRig(
                    configuration: ["hooks": "on_failure = \"abort\"\(override)"],
                    hooks: ["10-works": "exit 0"])
                let enabled = try rig.control("hooks", "enable", "postgresql")
                #expect(enabled.ending == .exited(0), "\(enabled)")
                let settings = rig.hookDirectory.removingLastComponent().appending("hooks.conf.d/postgresql")
                try Data("echo no checkpoint; exit 3\n".utf8).write(to: URL(fileURLWithPath: settings.string))
                #expect(try rig.freeze().status == (override.isEmpty ? .success : .failure), "\(rig.log)")
                #expect(try rig.thaw().status == .success)
                let record = try rig.record()
                #expect(record.level == (override.isEmpty ? .filesystem : nil))
                #expect(record.reason?.contains("50-postgresql") == true)
            }
        }

        @Test func `a script with DOS line endings fails the request, and says so`() throws {
            let rig = try DaemonRig(hooks: ["10-first": "echo 10 $1 >> $TRACE"])
            let path = rig.hookDirectory.appending("20-dos").string
            try Data("#!/bin/sh\r\nexit 0\r\n".utf8).write(to: URL(fileURLWithPath: path))
            try RunningProgram.output(of: "chmod", ["755", path])
            #expect(try rig.freeze().status == .failure)
            let words =
                "its first line ends in a carriage return (DOS line endings). Run: sed -i 's/\\r$//' \(path)"
            #expect(try rig.record().reason?.contains(words) == true)
            #expect(try rig.traced().isEmpty)
            for command in [["hooks", "list", "--json"], ["check", "--json"]] {
                let run = try RunningProgram.run(
                    ScratchWorld.programs.appending("quiescectl"),
                    command + ["--config", rig.configuration.string])
                #expect(run.output.contains("ends in a carriage return (DOS line endings)"), "\(run)")
            }
        }

        @Test func `a flood of output neither blocks its hook nor fills the record`() throws {
            let rig = try DaemonRig(hooks: ["10-noisy": "head -c 100000000 /dev/zero | tr '\\0' x; echo; echo end"]
            )
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.level == .application)
            for run in record.hooks {
                #expect(run.outcome.succeeded)
                #expect(run.isOutputTruncated)
                #expect(run.output.utf8.count <= RecordLimit.output)
            }
            #expect(record.hooks.count == 2)
        }

        @Test func `what a hook writes cannot disturb the log`() throws {
            let rig = try DaemonRig(hooks: [
                "10-rude": "printf 'before\\n\\033[2J\\033]0;title\\007%060000d' 7; exit 3"
            ])
            #expect(try rig.freeze().status == .failure)
            let line = try rig.daemon.waitForLine { $0.contains("10-rude exited with status 3") }
            #expect(line.contains("\\033[2J"))
            #expect(line.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F })
            #expect(line.utf8.count < 8192)
        }

        @Test func `a hook that leaves a child with its pipes behind is over when it exits`() throws {
            let rig = try DaemonRig(hooks: [
                "10-daemon": "if [ $1 = freeze ]; then sleep 86398 & echo $! > $TRACE.child; fi; echo $1 >> $TRACE"
            ])
            let answer = try rig.freeze()
            #expect(answer.status == .success)
            #expect(answer.duration < .seconds(10))
            // It was none of our business, and still runs.
            let child = try RunningProgram.output(of: "cat", ["\(rig.trace).child"])
            try RunningProgram.output(of: "kill", [child])
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().level == .application)
        }

        @Test(arguments: [
            ("echo cannot restart; exit 4", "exited with status 4: cannot restart"),
            ("trap '' TERM; echo cannot restart; while :; do sleep 86395; done", "did not end within its timeout"),
        ])
        func `complaint 11, P4: a thaw hook that fails is logged, and the others are still called`(
            script: String, words: String
        ) throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "timeout = \"1s\""],
                hooks: [
                    "10-first": Self.hook("10", writingTo: ["/"]), "30-last": Self.hook("30", writingTo: ["/"]),
                    "20-faulty": Self.hook("20", writingTo: ["/"], thaw: script),
                ])
            #expect(try rig.freeze().status == .success)
            let thaw = try rig.thaw()
            #expect(thaw.status == .success)
            // The host does not wait for hooks that are called when everything is thawed.
            #expect(thaw.duration < .seconds(1))
            let record = try rig.record()
            #expect(try rig.traced().suffix(3) == ["30 thaw ok", "20 thaw ok", "10 thaw ok"])
            try rig.daemon.waitForLine { $0.contains("thaw hook 20-faulty \(words)") }
            let run = try #require(record.hooks.first { $0.name == "20-faulty" && $0.phase == .thaw })
            #expect(!run.outcome.succeeded && run.output.contains("cannot restart"))
            // The snapshot is as good as it was.
            #expect(record.result == .succeeded && record.level == .application)
            try rig.waitUntilReleased()
        }

        @Test func `P4 every thaw hook is called and given time, even when the budget is used up`() throws {
            let slow = Dictionary(
                uniqueKeysWithValues: (1...4).map {
                    ("\($0)0-slow", Self.hook("\($0)0", writingTo: ["/"], thaw: "sleep 0.6"))
                })
            let rig = try DaemonRig(
                configuration: ["hooks": "timeout = \"10s\"\ntotal_timeout = \"1s\""], hooks: slow)
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(try rig.traced().suffix(4) == ["40 thaw ok", "30 thaw ok", "20 thaw ok", "10 thaw ok"])
            #expect(record.hooks.allSatisfy { $0.outcome.succeeded })
        }

        @Test func `P8 a FREEZE that comes during slow thaw hooks waits for them and succeeds`() throws {
            let slow = "[ -e $TRACE.open ] || echo slow >> $TRACE; \(DaemonRig.waiting(forGate: "open"))"
            let rig = try DaemonRig(hooks: ["10-slow": Self.hook("10", writingTo: ["/"], thaw: slow)])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            try rig.waitForTrace("slow")

            let second = PendingAnswer(.freeze, of: rig.host)
            #expect(throws: DaemonRig.Failure.self) { try second.value(within: .milliseconds(300)) }
            #expect(try !FreezeProof.isFrozen("/"))
            try rig.open(gate: "open")
            #expect(try second.value().status == .success)
            #expect(try FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record(number: 2).result == .succeeded)
            #expect(
                try rig.traced() == ["10 freeze", "10 thaw ok", "slow", "10 freeze", "10 thaw ok"])
        }

        @Test(arguments: ["abort", "continue"])
        func `the budget of all hooks together is kept, and who ran out of it is named`(policy: String) throws {
            let rig = try DaemonRig(
                configuration: [
                    "hooks": "timeout = \"20s\"\ntotal_timeout = \"1s\"\non_failure = \"\(policy)\""
                ],
                hooks: [
                    "10-slow": Self.hook("10", writingTo: ["/"], freeze: "sleep 86397"),
                    "20-late": Self.hook("20", writingTo: ["/"]),
                ])
            let isAbort = policy == "abort"
            let answer = try rig.freeze()
            #expect(answer.status == (isAbort ? .failure : .success))
            #expect(answer.duration < .seconds(9))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(try rig.traced() == ["10 freeze", "10 thaw \(isAbort ? "failed" : "ok")"])
            #expect((record.window == nil) == isAbort)
            #expect(record.level == (isAbort ? nil : .filesystem))
            let reason = try #require(record.reason)
            #expect(reason.contains(isAbort ? "10-slow did not end" : "10-slow, 20-late"), "\(reason)")
        }
    }
}
