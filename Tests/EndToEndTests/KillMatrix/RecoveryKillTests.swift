import Channels
import Foundation
import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

/// P1 when the third guard is killed as well: whoever comes next goes on where it was.
extension EndToEnd {
    @Suite struct RecoveryKillTests {
        static let points = ["before a guard's FITHAW", "after a guard's FITHAW"]

        @Test(arguments: points)
        func `P1 P3 P4 recover is killed, and the next recover thaws the rest`(point: String) throws {
            let scene = try CrashScene(hasStopPoints: true)
            try scene.killBoth()
            try scene.rig.arm(point)
            let killed = try scene.rig.controlling("recover")
            try wait(for: point) { !scene.rig.isArmed(point) }
            // The command has a child do it, which may hang without harm to its caller.
            let child = try #require(
                pid_t(RunningProgram.output(of: "pgrep", ["-P", "\(killed.processIdentifier)"])))
            try scene.rig.waitForStop(of: child, at: point)
            kill(child, SIGKILL)
            #expect(try killed.waitForExit() != .exited(0))

            let asked = Moment.now
            let recovery = try scene.rig.control("recover")
            #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
            try scene.waitForThaw(since: asked, "recover, after one that was killed,")
            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "quiesced ended in the middle of this request")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test(arguments: points + ["recovering"])
        func `P1 P3 P4 the next daemon is killed while it recovers, and the one after it thaws`(
            point: String
        ) throws {
            let scene = try CrashScene(hasStopPoints: true)
            try scene.killBoth()
            try scene.rig.arm(point)
            try scene.rig.launch()
            try scene.rig.waitForStop(of: scene.rig.daemon.processIdentifier, at: point)
            scene.rig.daemon.send(SIGKILL)
            #expect(try scene.rig.daemon.waitForExit() == .killed(signal: SIGKILL))

            let started = Moment.now
            try scene.rig.launch()
            try scene.waitForThaw(since: started, "the start after one that was killed in its recovery")
            #expect(scene.rig.host.waitForRegistration(number: 2, until: .now + .seconds(15)))
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "quiesced ended in the middle of this request")
            try scene.expectNextBackupAndCleanEnd()
        }

        /// The daemon takes over from a freezer that is killed, and is killed in that.
        @Test(arguments: points)
        func `P1 P3 P4 the daemon is killed while it thaws in the freezer's place`(point: String) throws {
            let scene = try CrashScene(hasStopPoints: true)
            try scene.rig.arm(point)
            try scene.freezer.send(signal: SIGKILL)
            try scene.rig.waitForStop(of: scene.rig.daemon.processIdentifier, at: point)
            scene.rig.daemon.send(SIGKILL)
            #expect(try scene.rig.daemon.waitForExit() == .killed(signal: SIGKILL))

            let asked = Moment.now
            #expect(try scene.rig.control("recover").ending == .exited(0))
            try scene.waitForThaw(since: asked, "recover, after a take-over that was killed,")
            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectNextBackupAndCleanEnd()
        }
    }
}
