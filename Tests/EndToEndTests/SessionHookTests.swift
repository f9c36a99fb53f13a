import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// Session hooks over a real window: held as long as anything is frozen, and what they lose the host is told.
extension EndToEnd {
    @Suite struct SessionHookTests {
        /// Holds until its input ends. Every step is written down, on a filesystem that is not frozen then.
        static func session(_ name: String, before: String = "", held: String = "", released: String = "")
            -> String
        {
            """
            echo "\(name) $1" >> $TRACE; echo $$ > $TRACE.\(name)
            \(before)
            echo READY
            \(held)
            cat > /dev/null
            echo "\(name) released" >> $TRACE
            \(released)
            """
        }

        static func plain(_ name: String) -> String { HookFaultTests.hook(name, writingTo: ["/"]) }

        private func process(_ name: String, in rig: DaemonRig) throws -> pid_t {
            try #require(pid_t(try RunningProgram.output(of: "cat", ["\(rig.trace).\(name)"])))
        }

        @Test func `P3 P4 a session is held over the window, and released between the last thaw and the answer`()
            throws
        {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(hooks: [
                "10-first": Self.plain("10"), "20-db.session": Self.session("20"), "30-last": Self.plain("30"),
            ])
            #expect(try rig.freeze().status == .success)
            #expect(try FreezeProof.isFrozen(filesystem.mountPoint))
            let process = try process("20", in: rig)
            #expect(kill(process, 0) == 0)
            #expect(try rig.traced() == ["10 freeze", "30 freeze", "20 session"])
            #expect(try rig.thaw().status == .success)
            // What it wrote at its release is there when the host has its answer; that of the others may follow.
            #expect(try rig.traced()[3] == "20 released")
            #expect(kill(process, 0) != 0)

            let record = try rig.record()
            #expect(record.result == .succeeded && record.level == .application)
            #expect(
                record.hooks.map { "\($0.name) \($0.phase)" } == [
                    "10-first freeze", "30-last freeze", "20-db.session freeze", "20-db.session thaw",
                    "30-last thaw",
                    "10-first thaw",
                ])
            #expect(record.hooks.allSatisfy { $0.outcome.succeeded })
            let windowClosed = try #require(record.windowClosed)
            let release = try #require(record.hooks.first { $0.name == "20-db.session" && $0.phase == .thaw })
            #expect(release.started >= windowClosed + .microseconds(-1))
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }

        @Test func `all sessions are released at once`() throws {
            // Each waits for the other's release.
            let rig = try DaemonRig(hooks: [
                "10-a.session": Self.session("10", released: "until [ -e $TRACE.20done ]; do sleep 0.02; done")
                    .replacing(
                        "echo \"10 released\"", with: ": > $TRACE.10done; echo \"10 released\""),
                "20-b.session": Self.session("20", released: "until [ -e $TRACE.10done ]; do sleep 0.02; done")
                    .replacing(
                        "echo \"20 released\"", with: ": > $TRACE.20done; echo \"20 released\""),
            ])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().level == .application)
        }

        /// How a session fails before anything is frozen.
        enum EarlyFault: String, CaseIterable, Sendable, CustomTestStringConvertible {
            case exits, endsWithoutReady, crashes, neverReady, readyTooLate, hangsDeafToTermination

            var testDescription: String { rawValue }

            var script: String {
                switch self {
                case .exits: "echo no lock to be had; exit 3"
                case .endsWithoutReady: "echo no lock to be had; exit 0"
                case .crashes: "echo no lock to be had; kill -SEGV $$"
                case .neverReady: "echo no lock to be had; sleep 86394"
                // It says so when it is ended.
                case .readyTooLate: "echo no lock to be had; trap 'echo READY; exit 0' TERM; sleep 86394 & wait"
                case .hangsDeafToTermination:
                    "trap '' TERM; echo no lock to be had; while :; do sleep 86394; done"
                }
            }

            var words: String {
                switch self {
                case .exits: "exited with status 3"
                case .endsWithoutReady: "ended without having said READY"
                case .crashes: "was ended by signal 11"
                case .neverReady, .readyTooLate, .hangsDeafToTermination:
                    "did not say READY within its timeout and was killed"
                }
            }
        }

        @Test(arguments: EarlyFault.allCases)
        func `P2 P4 a session that does not get ready fails the request, and the sessions before it are released`(
            fault: EarlyFault
        ) throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "timeout = \"1s\""],
                hooks: [
                    "10-first": Self.plain("10"), "20-good.session": Self.session("20"),
                    "30-faulty.session": Self.session("30", before: fault.script),
                ])
            let answer = try rig.freeze()
            #expect(answer.status == .failure)
            #expect(answer.duration < .seconds(9))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.result == .failed && record.window == nil)
            let reason = try #require(record.reason)
            #expect(reason.contains("30-faulty.session \(fault.words)"), "\(reason)")
            #expect(
                try rig.traced() == ["10 freeze", "20 session", "30 session", "20 released", "10 thaw failed"])
            #expect(try RunningProgram.run("pgrep", ["-f", "sleep 86394"]).ending == .exited(1))
            try rig.install(hook: "30-faulty.session", Self.session("30"))
            try rig.expectHealthy(freezing: [])
        }

        @Test func `on_failure continue freezes without a session that does not get ready`() throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "on_failure = \"continue\""],
                hooks: ["10-faulty.session": "exit 3", "20-good.session": Self.session("20")])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().level == .filesystem)
        }

        /// How a session ends while everything is frozen.
        static let deaths: [(script: String, signal: CInt?, words: String)] = [
            ("until [ -e $TRACE.go ]; do sleep 0.02; done; exit 0", nil, "ended before it was released"),
            (
                "until [ -e $TRACE.go ]; do sleep 0.02; done; echo connection lost; exit 3", nil,
                "exited with status 3 before it was released, so what it held is lost: connection lost"
            ),
            ("", SIGKILL, "was ended by signal 9 before it was released"),
        ]

        @Test(arguments: 0..<deaths.count)
        func `P3 a session that ends in the window ends it at once, and THAW fails`(index: Int) throws {
            let death = Self.deaths[index]
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(hooks: [
                "10-first": Self.plain("10"), "20-db.session": Self.session("20", held: death.script),
                "30-other.session": Self.session("30"),
            ])
            #expect(try rig.freeze().status == .success)
            #expect(try FreezeProof.isFrozen(filesystem.mountPoint))
            if let signal = death.signal {
                kill(try process("20", in: rig), signal)
            } else {
                try rig.open(gate: "go")
            }
            // Long before max_window, and without a word of the host.
            try rig.waitForTrace("10 thaw failed")
            #expect(try !FreezeProof.isFrozen(filesystem.mountPoint))
            let status = try rig.control("status").output
            #expect(status.contains("LOST"), "\(status)")
            #expect(try rig.thaw().status == .failure)
            let record = try rig.record()
            #expect(record.result == .failed)
            #expect(record.reason?.contains("20-db.session \(death.words)") == true, "\(record.reason ?? "")")
            #expect(try rig.traced().suffix(2) == ["30 released", "10 thaw failed"])
            try rig.install(hook: "20-db.session", Self.session("20"))
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            try filesystem.remove()
        }

        @Test(arguments: ["abort", "continue"])
        func `a session that ends before the window costs the request, or its level`(policy: String) throws {
            let rig = try DaemonRig(
                configuration: ["hooks": "on_failure = \"\(policy)\""],
                hooks: [
                    "10-db.session": "echo READY; exit 0",
                    // The end of the first one was noticed by then.
                    "20-later.session":
                        "until [ -e $TRACE.seen ]; do sleep 0.02; done; echo READY; cat >/dev/null",
                ])
            let freeze = PendingAnswer(.freeze, of: rig.host)
            if policy == "abort" {
                #expect(try freeze.value().status == .failure)
                #expect(try rig.thaw().status == .success)
                #expect(try rig.record().reason?.contains("ended before it was released") == true)
            } else {
                try rig.daemon.waitForLine { $0.contains("10-db.session ended before it was released") }
                try rig.open(gate: "seen")
                #expect(try freeze.value().status == .success)
                #expect(try rig.thaw().status == .success)
                #expect(try rig.record().level == .filesystem)
            }
        }

        static let badReleases: [(script: String, words: String)] = [
            (
                "echo cannot unlock; exit 4",
                "exited with status 4 when it was released, so what it held may have been lost"
            ),
            ("kill -SEGV $$", "was ended by signal 11 when it was released"),
            ("sleep 86393", "did not end within its timeout and was killed when it was released"),
            (
                "trap '' TERM; while :; do sleep 86393; done",
                "did not end within its timeout and was killed when it was released"
            ),
        ]

        @Test(arguments: 0..<badReleases.count)
        func `P3 a session that does not end well when it is released fails the THAW, in time`(index: Int) throws {
            let fault = Self.badReleases[index]
            let rig = try DaemonRig(hooks: [
                "10-first": Self.plain("10"), "20-db.session": Self.session("20", released: fault.script),
                "30-other.session": Self.session("30"),
            ])
            #expect(try rig.freeze().status == .success)
            let thaw = PendingAnswer(.thaw, of: rig.host)
            // Nothing is frozen while it is waited for.
            try rig.waitForTrace("30 released")
            #expect(try !FreezeProof.isFrozen("/"))
            let answer = try thaw.value(within: .seconds(25))
            #expect(answer.status == .failure)
            // 10 s, and two grace periods of 2 s.
            #expect(answer.duration < .seconds(18))
            let record = try rig.record()
            #expect(record.result == .failed)
            #expect(record.reason?.contains("20-db.session \(fault.words)") == true, "\(record.reason ?? "")")
            try rig.waitForTrace("10 thaw failed")
            #expect(try RunningProgram.run("pgrep", ["-f", "sleep 86393"]).ending == .exited(1))
        }

        @Test func `P9 while sessions are released the status says so, and a next FREEZE waits`() throws {
            let rig = try DaemonRig(hooks: [
                "10-db.session": Self.session("10", released: DaemonRig.waiting(forGate: "open"))
            ])
            #expect(try rig.freeze().status == .success)
            let thaw = PendingAnswer(.thaw, of: rig.host)
            try rig.waitForTrace("10 released")
            let status = try rig.control("status").output
            #expect(status.contains("releasing session hooks") && status.contains("10-db.session"), "\(status)")
            #expect(!thaw.isThere)
            try rig.open(gate: "open")
            #expect(try thaw.value().status == .success)
            try rig.expectHealthy(freezing: [])
        }

        @Test func `P1 P4 when both processes are killed the session lets go by itself`() throws {
            let rig = try DaemonRig(hooks: ["10-plain": Self.plain("10"), "20-db.session": Self.session("20")])
            #expect(try rig.freeze().status == .success)
            let process = try process("20", in: rig)
            try rig.killBoth()
            try rig.start()
            try rig.waitForTrace("20 released")
            try rig.waitForTrace("10 thaw failed")
            #expect(kill(process, 0) != 0)
            #expect(try rig.thaw().status == .failure)
            // It was not called for thaw, which it does not know.
            #expect(try rig.traced().filter { $0.hasPrefix("20") } == ["20 session", "20 released"])
            try rig.expectHealthy(freezing: [])
        }

        @Test func `P4 a session that does not let go when its daemon is killed is ended by the next instance`()
            throws
        {
            let rig = try DaemonRig(hooks: [
                "20-db.session": Self.session("20", released: "trap '' TERM; while :; do sleep 86392; done")
            ])
            #expect(try rig.freeze().status == .success)
            try rig.killBoth()
            try rig.start()
            try rig.daemon.waitForLine { $0.contains("hook 20-db.session of that request was still running") }
            #expect(try RunningProgram.run("pgrep", ["-f", "sleep 86392"]).ending == .exited(1))
            #expect(try rig.thaw().status == .failure)
        }

        @Test func `a session is rehearsed by hooks run`() throws {
            let rig = try DaemonRig(hooks: [
                "10-db.session": Self.session("10"), "20-bad.session": Self.session("20", released: "exit 4"),
            ])
            let good = try rig.control("hooks", "run", "10-db.session")
            #expect(good.ending == .exited(0), "\(good)")
            #expect(good.output.contains("10-db.session does what a backup needs of it."))
            let bad = try rig.control("hooks", "run", "20-bad.session")
            #expect(bad.ending == .exited(1))
            #expect(bad.output.contains("exited with status 4"))
            #expect(try rig.traced() == ["10 session", "10 released", "20 session", "20 released"])
        }
    }
}
