import ControlProtocol
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// The kill matrix while `/` is stuck: the remaining process thaws `/` after the return of the FIFREEZE.
extension EndToEnd {
    @Suite struct StuckKillTests {
        /// The time of the FIFREEZE's return, relative to systemd's actions after the daemon's end.
        enum Return: String, CaseIterable, CustomTestStringConvertible {
            case beforeRecover = "before recover", beforeNextStart = "before the next start", afterNextStart =
                "later"
            var testDescription: String { rawValue }
        }

        @Test(arguments: [KillInjury.killsDaemon, .killsBoth, .terminates, .hangsUp], Return.allCases)
        func `P1 P7 the daemon ends while / is stuck`(injury: KillInjury, returns: Return) throws {
            let scene = try StuckRoot()
            let (daemon, rig) = (scene.rig.daemon, scene.rig)
            let hurt = Moment.now
            switch injury {
            case .terminates: daemon.send(SIGTERM)
            case .hangsUp: daemon.send(SIGHUP)
            default: daemon.send(SIGKILL)
            }
            if injury == .killsBoth { try scene.freezer.send(signal: SIGKILL) }
            _ = try daemon.waitForExit(within: .seconds(10))
            print("MEASURED: \((Moment.now - hurt).milliseconds) ms to the daemon's end: \(injury), / is stuck")

            func release() throws {
                scene.release()
                if injury == .killsBoth { #expect(scene.freezer.waitForEnd(atMost: .seconds(5))) }
            }
            if returns == .beforeRecover { try release() }
            let begun = Moment.now
            let recovery = try rig.control("recover")
            if returns == .beforeRecover {
                #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
                try scene.waitForThaw(since: begun, "recover")
            } else {
                #expect(recovery.ending == .exited(1))
                #expect(recovery.output.contains("  /: "), "\(recovery.output)")
            }
            if returns == .beforeNextStart {
                try release()
                try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            }
            try rig.start()
            if returns == .afterNextStart {
                CrashScene.expectRefused(try rig.freeze())
                try release()
                try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            }
            try scene.expectHealthyAndRemove()
        }

        @Test func `P1 recover thaws / after the FIFREEZE's return, though the reader of its output has ended`()
            throws
        {
            let scene = try StuckRoot()
            scene.rig.daemon.send(SIGKILL)
            try scene.freezer.send(signal: SIGKILL)
            _ = try scene.rig.daemon.waitForExit(within: .seconds(10))
            let recover = "\(ScratchWorld.programs)/quiescectl recover --config \(scene.rig.configuration)"
            _ = try RunningProgram.run("sh", ["-c", "\(recover) | true"], within: .seconds(40))
            scene.release()
            try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            try scene.rig.start()
            try scene.expectHealthyAndRemove()
        }

        @Test func `P1 the freezer is killed while / is stuck`() throws {
            let scene = try StuckRoot()
            try scene.freezer.send(signal: SIGKILL)
            scene.release()
            try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            try scene.expectHealthyAndRemove()
        }

        @Test(arguments: [true, false])
        func `P1 the daemon or the freezer is stopped while / is stuck`(isDaemon: Bool) throws {
            let scene = try StuckRoot()
            let daemon = ProcessIdentity(of: scene.rig.daemon.processIdentifier).flatMap { ProcessHandle($0) }
            let handle = isDaemon ? try #require(daemon) : scene.freezer
            try handle.send(signal: SIGSTOP)
            try wait(for: "the process to stop") { handle.isStopped }
            scene.release()
            if isDaemon {
                try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            } else {
                // SIGSTOP took effect when FIFREEZE returned. The daemon cannot tell a stopped freezer from a
                // freezer waiting for the kernel.
                try handle.send(signal: SIGCONT)
                try scene.waitForThaw(since: .now, "SIGCONT")
            }
            try handle.send(signal: SIGCONT)
            try scene.expectHealthyAndRemove()
        }

        /// Both are written to `/` after the thaw, and the daemon never waits for the writes.
        @Test func `P7 P9 history and a log file on a stuck / are written later, and nothing is lost`() throws {
            let log: FilePath = "/var/log/quiesced-stuck.log"
            let scene = try StuckRoot(loggingTo: log)
            let rig = scene.rig
            CrashScene.expectRefused(try rig.freeze())
            #expect(try KernelWaits.uninterruptible(rig.daemon.processIdentifier) == [])
            #expect(try rig.status().state == .idle)
            scene.release()
            try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            let record = try rig.record(number: 2)
            #expect(record.reason?.contains("still hangs in the kernel") == true, "\(record.reason ?? "")")
            try wait(for: "the log") {
                try String(contentsOfFile: log.string, encoding: .utf8).contains("its freeze, which had hung")
            }
            try scene.expectHealthyAndRemove()
        }

        /// Held records go into the history at the next start.
        @Test func `P9 SIGTERM while / is stuck ends the daemon in bounded time, and no record is lost`() throws {
            let scene = try StuckRoot()
            let asked = Moment.now
            #expect(try scene.rig.stop() == .exited(0))
            let took = Moment.now - asked
            print("MEASURED: \(took.milliseconds) ms from SIGTERM to the daemon's end, / is stuck")
            #expect(took < .seconds(3))
            scene.release()
            try scene.waitForThaw(since: .now, "the FIFREEZE's return")
            try scene.rig.start()
            let record = try scene.rig.record()
            #expect(record.id.text == scene.ledger.requestID)
            #expect(
                record.reason?.contains("/: not frozen within freeze.timeout") == true, "\(record.reason ?? "")")
            let history = try scene.rig.control("history", "--json")
            #expect(history.output.components(separatedBy: "\"channel\"").count == 2, "\(history.output)")
            try scene.expectHealthyAndRemove()
        }
    }
}
