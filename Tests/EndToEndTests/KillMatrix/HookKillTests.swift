import Channels
import ControlProtocol
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// P4 when hooks are killed, and when they outlive the daemon that called them.
extension EndToEnd {
    @Suite struct HookKillTests {
        private static let names = ["10-first", "20-second", "30-third"]

        /// Writes down its call, and its end unless it is killed by then: by its own hand, when the test says so.
        private static let script = """
            name=$(basename $0)
            echo "$name $1${QUIESCE_RESULT:+ $QUIESCE_RESULT}" >> $TRACE
            if [ -e "$TRACE.kill-$name-$1" ]; then kill -KILL $$; fi
            """

        private let filesystem: ScratchFilesystem
        private let rig: DaemonRig

        init() throws {
            filesystem = try ScratchFilesystem(.ext4)
            rig = try DaemonRig(
                hooks: Dictionary(uniqueKeysWithValues: Self.names.map { ($0, Self.script) }), hasStopPoints: true)
        }

        private func finish() throws {
            try rig.expectHealthy(freezing: [filesystem.mountPoint])
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        @Test(arguments: names)
        func `P2 P4 a hook that is killed in freeze fails the request, and is called for thaw`(name: String) throws
        {
            try rig.open(gate: "kill-\(name)-freeze")
            #expect(try rig.freeze().status == .failure)
            for mountPoint in [filesystem.mountPoint, "/"] { #expect(try !FreezeProof.isFrozen(mountPoint)) }
            let record = try rig.record()
            #expect(record.reason == "hook \(name) was ended by signal 9", "\(record.reason ?? "")")
            let called = Self.names.prefix { $0 != name } + [name]
            #expect(
                try rig.traced() == called.map { "\($0) freeze" } + called.reversed().map { "\($0) thaw failed" })
            try RunningProgram.output(of: "rm", [rig.gate("kill-\(name)-freeze").string])
            try finish()
        }

        @Test(arguments: names)
        func `P4 a hook that is killed in thaw keeps none of the others from theirs`(name: String) throws {
            try rig.open(gate: "kill-\(name)-thaw")
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().result == .succeeded)
            #expect(
                try rig.traced() == Self.names.map { "\($0) freeze" }
                    + Self.names.reversed().map { "\($0) thaw ok" })
            try rig.daemon.waitForLine { $0.contains("thaw hook \(name) was ended by signal 9") }
            try RunningProgram.output(of: "rm", [rig.gate("kill-\(name)-thaw").string])
            try finish()
        }

        @Test func `P4 a hook does not begin after the death of the daemon that was about to start the hook`()
            throws
        {
            try rig.arm("starting a hook")
            let answer = PendingAnswer(.freeze, of: rig.host)
            try rig.waitForStop(of: rig.daemon.processIdentifier, at: "starting a hook")
            rig.daemon.send(SIGKILL)
            try rig.daemon.waitForExit()
            #expect(try answer.value(within: .seconds(30)).status == .failure)
            try rig.start()
            // The call for thaw is in vain, which is better than none.
            try rig.waitForTrace("10-first thaw failed")
            #expect(try rig.traced() == ["10-first thaw failed"])
            try finish()
        }

        /// Its ledger is kept, since it is owed its thaw; told of it is once.
        @Test func `P4 a request whose hook has gone is recorded once, however often quiesced is started`() throws
        {
            try rig.install(hook: "20-second", "rm \"$0\"")
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.record().result == .succeeded)
            for _ in 0..<2 {
                rig.daemon.send(SIGKILL)
                try rig.daemon.waitForExit()
                try rig.start()
                try wait(for: "the end of recovery") { try rig.status().state == .idle }
            }
            let history = try rig.control("history", "--json")
            #expect(history.output.components(separatedBy: "\"channel\"").count == 2, "\(history.output)")
            try rig.install(hook: "20-second", Self.script)
            try finish()
        }

        /// Its thaw must not come first: it would end up frozen.
        @Test func `P4 a freeze hook that outlives its daemon is ended before it is called for thaw`() throws {
            try rig.install(
                hook: "20-second",
                """
                echo $$ > $TRACE.process
                echo "begins $1" >> $TRACE
                if [ $1 = freeze ]; then \(DaemonRig.waiting(forGate: "second")); fi
                echo "ends $1" >> $TRACE
                """)
            let answer = PendingAnswer(.freeze, of: rig.host)
            try rig.waitForTrace("begins freeze")
            // It may be quicker than the daemon, which writes its process down.
            let ledger = try CrashScene.ledger(rig)
            try wait(for: "the hook's process in the ledger") { ledger.hookProcess(1) != nil }
            let found = try RunningProgram.output(of: "cat", [rig.gate("process").string])
            let hook = try #require(pid_t(found))
            rig.daemon.send(SIGKILL)
            try rig.daemon.waitForExit()
            #expect(try answer.value().status == .failure)
            #expect(try ProcessRecord.read(hook)?.isAlive == true)

            let started = Moment.now
            try rig.start()
            try rig.waitForTrace("ends thaw")
            print(
                "MEASURED: \(Int((Moment.now - started).milliseconds)) ms from the next start to the thaw hook's end"
            )
            #expect(try ProcessRecord.read(hook)?.isAlive != true)
            try rig.daemon.waitForLine {
                $0.contains("hook 20-second of that request was still running: it was ended")
            }
            try rig.open(gate: "second")
            try rig.waitForTrace("10-first thaw failed")
            #expect(
                try rig.traced() == [
                    "10-first freeze", "begins freeze", "begins thaw", "ends thaw", "10-first thaw failed",
                ])
            try rig.install(hook: "20-second", Self.script)
            try finish()
        }
    }
}
