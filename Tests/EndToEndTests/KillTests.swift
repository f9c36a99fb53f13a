import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// P1 when processes die in the window: one guard stands behind the other.
extension EndToEnd {
    @Suite struct KillTests {
        @Test func `P1 P3 P4 the daemon is killed and the freezer thaws`() throws {
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

        @Test func `P1 P3 P4 the freezer is killed and the daemon thaws`() throws {
            let scene = try CrashScene()
            let killed = Moment.now
            try scene.freezer.send(signal: SIGKILL)
            #expect(try scene.waitForThaw(since: killed, "SIGKILL of the freezer") < .seconds(1))
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "the freezer died")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P1 P3 P4 both are killed and recover thaws`() throws {
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
