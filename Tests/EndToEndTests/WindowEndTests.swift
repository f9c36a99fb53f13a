import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// P1 and P3 when the window ends otherwise than by the host's THAW, with both processes alive.
extension EndToEnd {
    @Suite struct WindowEndTests {
        private static let shortWindow = ["freeze": "timeout = \"1s\"\nmax_window = \"1500ms\""]

        @Test(arguments: [SIGTERM, SIGINT, SIGHUP, SIGQUIT])
        func `P1 P3 P4 what ends the daemon in the window thaws first`(signal: CInt) throws {
            let scene = try CrashScene()
            let asked = Moment.now
            scene.rig.daemon.send(signal)
            #expect(try scene.rig.daemon.waitForExit(within: .seconds(20)) == .exited(0))
            try scene.waitForThaw(since: asked, "signal \(signal) to the daemon")
            #expect(scene.freezer.waitForEnd(atMost: .seconds(5)))
            try scene.expectFailedRecord(saying: "asked to stop")
            #expect(!FileManager.default.fileExists(atPath: scene.rig.runDirectory.appending("ledger").string))
            try scene.rig.start()
            try scene.expectThawIsRefused()
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P4 signals that mean nothing to the daemon end neither it nor the window`() throws {
            let scene = try CrashScene()
            for signal in [SIGUSR1, SIGUSR2, SIGPIPE] { scene.rig.daemon.send(signal) }
            try scene.expectFrozen()
            #expect(try scene.rig.thaw().status == .success)
            #expect(try scene.rig.record().result == .succeeded)
            #expect(try scene.rig.stop() == .exited(0))
        }

        @Test func `complaint 2, P1 P3: a host that does not come back in time`() throws {
            // The window began at the first FIFREEZE, somewhat before the scene is set.
            let scene = try CrashScene(configuration: Self.shortWindow)
            let begun = Moment.now
            try scene.waitForThaw(since: begun, "FROZEN, with a window of 1500 ms,")
            try scene.expectFailedRecord(saying: "max_window")
            let window = try #require(try scene.rig.record().window)
            print("MEASURED: a window of 1500 ms was \(window) long")
            #expect(window >= .milliseconds(1500) && window < .seconds(2))
            try scene.expectThawed()
            try scene.expectThawIsRefused()
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P1 P3 the daemon stands still beyond the window`() throws {
            let scene = try CrashScene(configuration: Self.shortWindow)
            scene.rig.daemon.send(SIGSTOP)
            try scene.waitForThaw(since: .now, "SIGSTOP of the daemon, with a window of 1500 ms,")
            scene.rig.daemon.send(SIGCONT)
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "max_window")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `P3 somebody thaws by hand in the window`() throws {
            let scene = try CrashScene()
            try scene.filesystems[1].thaw()
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "\(scene.filesystems[1].mountPoint): somebody else thawed it")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `recover leaves a living daemon's window alone unless forced`() throws {
            let scene = try CrashScene()
            let refused = try scene.rig.control("recover")
            #expect(refused.ending == .exited(1))
            #expect(refused.errors.contains("is alive") && refused.errors.contains("--force"))
            try scene.expectFrozen()
            let asked = Moment.now
            let forced = try scene.rig.control("recover", "--force")
            #expect(forced.ending == .exited(0), "\(forced.errors)")
            #expect(forced.output.contains("of a living quiesced was ended by force: its backup is lost."))
            #expect(!forced.output.contains("next start"), "\(forced.output)")
            try scene.waitForThaw(since: asked, "recover --force")
            try scene.expectThawIsRefused()
            try scene.expectFailedRecord(saying: "thawed by hand: quiescectl recover --force")
            try scene.expectNextBackupAndCleanEnd()
        }

        @Test func `what recover --force ended is on record as that, though its quiesced hangs and is killed`()
            throws
        {
            let scene = try CrashScene()
            scene.rig.daemon.send(SIGSTOP)
            #expect(try scene.rig.control("recover", "--force").ending == .exited(0))
            scene.rig.daemon.send(SIGKILL)
            _ = try scene.rig.daemon.waitForExit()
            try scene.rig.start()
            try scene.expectFailedRecord(saying: "thawed by hand: quiescectl recover --force")
        }

        @Test func `recover has nothing to do without a ledger`() throws {
            let rig = try DaemonRig(isStarted: false)
            let before = try rig.control("recover")
            #expect(before.ending == .exited(0) && before.output.hasPrefix("Nothing to recover"))
            try rig.start()
            #expect(try rig.control("recover").output.hasPrefix("Nothing to recover"))
            #expect(try rig.control("recover", "--force").ending == .exited(0))
            #expect(try rig.stop() == .exited(0))
            let after = try rig.control("recover")
            #expect(after.ending == .exited(0) && after.output.hasPrefix("Nothing to recover"))
        }

        @Test func `five backups leave no descriptor and no thread behind`() throws {
            let scene = try CrashScene()
            #expect(try scene.rig.thaw().status == .success)
            _ = try scene.rig.record()
            let processes = [scene.rig.daemon.processIdentifier, scene.freezer.identity.processID]
            let before = try processes.map { try ProcessStatus.settled(of: $0) }
            for number in 2...6 {
                #expect(try scene.rig.freeze().status == .success)
                #expect(try scene.rig.thaw().status == .success)
                _ = try scene.rig.record(number: number)
            }
            for (process, count) in zip(processes, before) {
                #expect(try ProcessStatus.waitForDescriptors(count, of: process), "\(process)")
            }
            #expect(try ProcessStatus.waitForThreads(1, of: processes[1]))
            #expect(try scene.rig.stop() == .exited(0))
        }
    }
}
