import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// P1 when processes die in the window: one guard stands behind the other.
extension EndToEnd {
    @Suite struct KillTests {
        @Test func `complaint 3, P1 P3 P4: the daemon is killed and the freezer thaws`() throws {
            let scene = try CrashScene()
            let killed = Moment.now
            scene.rig.daemon.send(SIGKILL)
            #expect(try scene.waitForThaw(since: killed, "SIGKILL of the daemon") < .seconds(1))
            #expect(try scene.rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            #expect(scene.freezer.waitForEnd(atMost: .seconds(5)))

            let recovery = try scene.rig.control("recover")
            #expect(recovery.ending == .exited(0))
            #expect(recovery.output.contains("cut short") && recovery.output.contains("Nothing of it is frozen"))
            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "quiesced ended in the middle of this request")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P4 the daemon is killed in the thaw hooks of a good request, which stays a good one`() throws {
            let rig = try DaemonRig(hooks: [
                "10-slow": """
                echo "$1 $QUIESCE_RESULT $QUIESCE_LEVEL" >> $TRACE
                [ $1 = freeze ] || \(DaemonRig.waiting(forGate: "over"))
                """
            ])
            #expect(try rig.freeze().status == .success)
            #expect(try rig.thaw().status == .success)
            try rig.waitForTrace("thaw ok application")
            rig.daemon.send(SIGKILL)
            #expect(try rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            try rig.open(gate: "over")
            let recovery = try rig.control("recover")
            #expect(recovery.ending == .exited(0))
            #expect(recovery.output.hasPrefix("The thaw hooks of request"), "\(recovery.output)")
            try rig.start()
            try wait(for: "the hook") { try rig.traced().count == 3 }
            #expect(try rig.traced().suffix(2) == ["thaw ok application", "thaw ok application"])
            let record = try rig.record()
            #expect(record.result == .succeeded && record.level == .application)
            #expect(
                record.reason
                    == "quiesced ended after the thaw, before the thaw hooks finished; "
                    + "the record does not list the hooks that did their work")
            #expect(
                try HistoryFile(inStateDirectory: rig.stateDirectory, heldIn: rig.runDirectory).records().records
                    .count == 1)
            #expect(try rig.control("status").output.contains(record.id.text))
            try rig.waitUntilReleased()
            #expect(try rig.stop() == .exited(0))
        }

        @Test func `P1 P3 P4 the freezer is killed and the daemon thaws`() throws {
            let scene = try CrashScene()
            let killed = Moment.now
            try scene.freezer.send(signal: SIGKILL)
            #expect(try scene.waitForThaw(since: killed, "SIGKILL of the freezer") < .seconds(1))
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "the freezer died")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `complaint 3, P1 P3 P4: both are killed and recover thaws`() throws {
            let scene = try CrashScene()
            try scene.killBoth()
            let asked = Moment.now
            let recovery = try scene.rig.control("recover")
            #expect(recovery.ending == .exited(0), "\(recovery.errors)")
            try scene.waitForThaw(since: asked, "recover, after both were killed,")
            for filesystem in scene.filesystems {
                #expect(recovery.output.contains("  \(filesystem.mountPoint): thawed\n"))
            }
            #expect(recovery.output.contains("  /: thawed\n"))
            #expect(recovery.output.contains("calls for thaw: 10-trace"))
            // Once more: nothing is done twice.
            #expect(try scene.rig.control("recover").output.contains("Nothing of it is frozen"))

            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "quiesced ended in the middle of this request")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P1 recover thaws although the configuration is wrong`() throws {
            let scene = try CrashScene()
            try scene.killBoth()
            // On the root that is frozen nothing can be written: a file elsewhere is wrong in its place.
            let wrong = FilePath("/run/wrong-\(scene.rig.daemon.processIdentifier).toml")
            try Data("[freeze]\ntimeout = 10\n".utf8).write(to: URL(fileURLWithPath: wrong.string))
            let asked = Moment.now
            let recovery = try RunningProgram.run(
                ScratchWorld.programs.appending("quiescectl"), ["recover", "--config", wrong.string],
                environment: ["RUNTIME_DIRECTORY": scene.rig.runDirectory.string], within: .seconds(40))
            #expect(recovery.ending == .exited(0), "\(recovery.errors)")
            #expect(recovery.errors.contains("freeze.timeout"))
            #expect(recovery.errors.contains("recovering in \(scene.rig.runDirectory)"))
            try scene.waitForThaw(since: asked, "recover, with a wrong configuration,")
            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P1 P3 P4 both are killed and the next daemon thaws`() throws {
            let scene = try CrashScene()
            try scene.killBoth()
            let started = Moment.now
            try scene.rig.launch()
            try scene.waitForThaw(since: started, "the start of the next daemon, after both were killed,")
            #expect(scene.rig.host.waitForRegistration(number: 2, until: .now + .seconds(15)))
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "quiesced ended in the middle of this request")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P1 a freezer that stands still is replaced after the daemon's death`() throws {
            let scene = try CrashScene()
            try scene.freezer.send(signal: SIGSTOP)
            scene.rig.daemon.send(SIGKILL)
            #expect(try scene.rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            let asked = Moment.now
            let recovery = try scene.rig.control("recover")
            #expect(recovery.ending == .exited(0), "\(recovery.errors)")
            try scene.waitForThaw(
                since: asked, within: .seconds(30), "recover, with a freezer that stands still,")
            #expect(scene.freezer.waitForEnd(atMost: .seconds(5)))
            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectNextBackupAndCleanEnd()
        }

        /// SIGSTOP takes effect when FIFREEZE returns: the superblock is frozen, and its word does not say so yet.
        @Test(arguments: ["recover", "the next start"])
        func `P1 a freezer that stands still behind a FIFREEZE is replaced after the daemon's death`(
            by way: String
        ) throws {
            let scene = try CrashScene(hasStopPoints: true)
            #expect(try scene.rig.thaw().status == .success)
            _ = try scene.rig.record()
            try scene.rig.waitUntilReleased()
            try scene.rig.arm("after FIFREEZE 2")
            let answer = PendingAnswer(.freeze, of: scene.rig.host)
            try scene.rig.waitForStop(of: scene.freezer.identity.processID, at: "after FIFREEZE 2")
            let ledger = try CrashScene.ledger(scene.rig)
            #expect(ledger.superblocks.indices.contains { ledger.word($0).state == .freezing })
            scene.rig.daemon.send(SIGKILL)
            #expect(try answer.value().status == .failure)
            let asked = Moment.now
            if way == "recover" {
                let recovery = try scene.rig.control("recover")
                #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
            }
            try scene.rig.start()
            try CrashScene.waitForThaw(of: ledger, since: asked, within: .seconds(20))
            print("MEASURED: \(Int((Moment.now - asked).milliseconds)) ms to the thaw, by \(way)")
            try scene.expectThawed()
            #expect(scene.freezer.waitForEnd(atMost: .seconds(5)))
            try scene.expectThawIsRefused()
            try scene.rig.expectHealthy(freezing: scene.filesystems.map(\.mountPoint))
            #expect(try scene.rig.stop() == .exited(0))
            for filesystem in scene.filesystems { try filesystem.remove() }
        }

        @Test func `P1 P3 a freezer that stands still is replaced by the daemon`() throws {
            let scene = try CrashScene()
            try scene.freezer.send(signal: SIGSTOP)
            let asked = Moment.now
            let answer = try scene.rig.thaw()
            CrashScene.expectRefused(answer)
            #expect(answer.duration < .seconds(20))
            try scene.waitForThaw(since: asked, "THAW, with a freezer that stands still,")
            try scene.expectFailedRecord(saying: "the freezer did not thaw in time")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `a freezer that stands still while idle is named and replaced`() throws {
            let scene = try CrashScene()
            #expect(try scene.rig.thaw().status == .success)
            #expect(try scene.rig.record().result == .succeeded)
            let freezer = try CrashScene.freezer(scene.rig)
            try freezer.send(signal: SIGSTOP)
            CrashScene.expectRefused(try scene.rig.freeze())
            #expect(try scene.rig.record(number: 2).reason == "the freezer does not answer; it is replaced")
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try scene.expectThawed()
            try scene.expectNextBackupAndCleanEnd(after: 2)
        }

        @Test func `a freezer that is killed while idle is started again`() throws {
            let scene = try CrashScene()
            #expect(try scene.rig.thaw().status == .success)
            #expect(try scene.rig.record().result == .succeeded)
            for _ in 0..<3 {
                let freezer = try CrashScene.freezer(scene.rig)
                try freezer.send(signal: SIGKILL)
                #expect(freezer.waitForEnd(atMost: .seconds(5)))
                // At once: the request waits for the next one.
                #expect(try scene.rig.freeze().status == .success, "log: \(scene.rig.log)")
                try scene.expectFrozen()
                #expect(try scene.rig.thaw().status == .success)
            }
            #expect(try scene.rig.stop() == .exited(0))
        }
    }
}
