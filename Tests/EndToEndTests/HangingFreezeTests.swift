import Channels
import ControlProtocol
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// A FIFREEZE that does not return cannot be cancelled: the host is answered in time, and whoever is left thaws the
/// filesystem when it does return.
extension EndToEnd {
    @Suite struct HangingFreezeTests {
        private let outer: ScratchFilesystem
        private let inner: ScratchFilesystem
        private let rig: DaemonRig

        /// The inner filesystem is stored on the outer one, which somebody else has frozen. It is clean, so that
        /// flushing it does not hang; freezing it writes its superblock, and that waits for the outer one.
        init() throws {
            outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            inner = try ScratchFilesystem(
                .ext4, on: .image(in: outer.mountPoint), options: ["-E", "lazy_itable_init=0,lazy_journal_init=0"])
            rig = try DaemonRig(configuration: [
                "freeze": "timeout = \"1s\"",
                "filesystems": "include = [\"\(inner.mountPoint)\"]",
            ])
            try RunningProgram.output(of: "sync", ["-f", inner.mountPoint.string])
            try outer.freeze()
        }

        /// FREEZE on a thread of its own.
        private func beginFreeze(_ other: DaemonRig? = nil) throws -> Monitor<HyperVHostAnswer?> {
            let answer = Monitor<HyperVHostAnswer?>(nil)
            let host = (other ?? rig).host
            try OperatingSystemThread.start("host") {
                let given = try? host.perform(.freeze)
                answer.update { $0 = given }
            }
            return answer
        }

        /// Waits until the inner FIFREEZE has been issued.
        private func ledgerOfHangingFreeze(_ other: DaemonRig? = nil) throws -> Ledger {
            let directory = try RunDirectory((other ?? rig).runDirectory, creating: false)
            let deadline = Moment.now + .seconds(10)
            while Moment.now < deadline {
                if let ledger = try directory.openLedger(), ledger.word(0).state == .freezing { return ledger }
                usleep(1000)
            }
            throw CrashScene.Failure(description: "no FIFREEZE within 10 s; log: \(rig.log)")
        }

        private func expectFailure(
            _ pending: Monitor<HyperVHostAnswer?>, within limit: Duration = .seconds(15)
        ) throws {
            let answer = try #require(pending.wait(until: .now + limit) { $0 }, "not answered within \(limit)")
            CrashScene.expectRefused(answer)
            print("MEASURED: FREEZE answered after \(answer.duration.milliseconds) ms (freeze.timeout is 1 s)")
            #expect(answer.duration >= .seconds(1))
        }

        /// STUCK: named in the record, and the next FREEZE fails at once.
        private func expectStuck() throws {
            let record = try rig.record()
            #expect(record.result == .failed)
            #expect(record.reason?.contains(inner.mountPoint.string) == true, "\(record.reason ?? "")")
            #expect(record.filesystems.first { $0.mountPoint == inner.mountPoint }?.isStuck == true)
            try expectFreezeFailsAtOnce(number: 2)
        }

        private func expectFreezeFailsAtOnce(number: Int) throws {
            let answer = try rig.freeze()
            CrashScene.expectRefused(answer)
            #expect(answer.duration < .milliseconds(500))
            let record = try rig.record(number: number)
            #expect(record.reason?.contains("\(inner.mountPoint)") == true)
            #expect(record.reason?.contains("still hangs in the kernel") == true, "\(record.reason ?? "")")
        }

        /// Lets the FIFREEZE return, and proves that the inner filesystem is thawed thereupon.
        private func releaseAndExpectThaw(_ ledger: Ledger) throws {
            #expect(ledger.unsettled == [0])
            let released = Moment.now
            try outer.thaw()
            try CrashScene.waitForThaw(of: ledger, since: released, within: .seconds(10))
            print(
                "MEASURED: \((Moment.now - released).milliseconds) ms from thawing the outer to the inner's thaw")
            #expect(try !inner.isFrozen() && !outer.isFrozen())
        }

        private func expectNextBackupAndCleanEnd() throws {
            // STUCK ends when the daemon has heard of it: the ledger is removed then.
            let path = rig.runDirectory.appending("ledger").string
            let deadline = Moment.now + .seconds(10)
            while FileManager.default.fileExists(atPath: path), Moment.now < deadline { usleep(1000) }
            let answer = try rig.freeze()
            #expect(answer.status == .success, "log: \(rig.log)")
            #expect(try inner.isFrozen() && !outer.isFrozen())
            #expect(try rig.thaw().status == .success)
            #expect(try !inner.isFrozen())
            #expect(try rig.stop() == .exited(0))
            try inner.remove()
            try outer.remove()
        }

        @Test func `complaint 1, P1 P2 P9: a hanging FIFREEZE is answered in time and thawed when it returns`()
            throws
        {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            try expectStatusAnswers(.freezing)
            try expectFailure(pending)
            try expectStuck()
            try expectStatusAnswers(.idle)
            #expect(try rig.status().stuck == [inner.mountPoint.string])
            #expect(try rig.control("status").output.contains("STUCK"))
            try releaseAndExpectThaw(ledger)
            try expectNextBackupAndCleanEnd()
        }

        /// P9, and in the time that a human does not notice.
        private func expectStatusAnswers(_ state: ControlState) throws {
            let asked = Moment.now
            #expect(try rig.status().state == state)
            #expect(Moment.now - asked < .seconds(2))
        }

        @Test func `P1 P2 the freezer is killed while its FIFREEZE hangs`() throws {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            let freezer = try CrashScene.freezer(rig)
            try freezer.send(signal: SIGKILL)
            try expectFailure(pending)
            // It dies only when the ioctl returns, and the filesystem is frozen then.
            #expect(!freezer.hasEnded)
            try expectStuck()
            try releaseAndExpectThaw(ledger)
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try expectNextBackupAndCleanEnd()
        }

        @Test func `what recover --force ended is on record as that, though its FIFREEZE hangs`() throws {
            // The timeout is to come after the recovery.
            let patient = try DaemonRig(configuration: [
                "freeze": "timeout = \"4s\"", "filesystems": "include = [\"\(inner.mountPoint)\"]",
            ])
            let pending = try beginFreeze(patient)
            let ledger = try ledgerOfHangingFreeze(patient)
            let recovery = try patient.controlling("recover", "--force")
            try expectFailure(pending)
            #expect(try patient.record().reason == "thawed by hand: quiescectl recover --force")
            #expect(try recovery.waitForExit(within: .seconds(30)) == .exited(1), "it hangs still")
            try releaseAndExpectThaw(ledger)
            try expectNextBackupAndCleanEnd()
        }

        @Test func `P1 P2 the freezer is killed after its hanging FIFREEZE was answered for`() throws {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            let freezer = try CrashScene.freezer(rig)
            try expectFailure(pending)
            try expectStuck()
            try freezer.send(signal: SIGKILL)
            try releaseAndExpectThaw(ledger)
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try expectNextBackupAndCleanEnd()
        }

        @Test func `P1 the daemon is killed while a FIFREEZE hangs`() throws {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            let freezer = try CrashScene.freezer(rig)
            rig.daemon.send(SIGKILL)
            #expect(try rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            _ = pending.wait(until: .now + .seconds(5)) { $0 }
            #expect(!freezer.hasEnded)
            try releaseAndExpectThaw(ledger)
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try rig.start()
            CrashScene.expectRefused(try rig.thaw())
            try expectNextBackupAndCleanEnd()
        }

        @Test func `P1 a freezer that watches a hanging FIFREEZE outlives a clean stop and recover`() throws {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            let freezer = try CrashScene.freezer(rig)
            try expectFailure(pending)
            try expectStuck()
            #expect(try rig.stop() == .exited(0))
            let recovery = try rig.control("recover")
            #expect(recovery.ending == .exited(1))
            #expect(recovery.output.contains("the freezer thaws it when that returns"), "\(recovery.output)")
            #expect(!freezer.hasEnded)
            try releaseAndExpectThaw(ledger)
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try rig.start()
            try expectNextBackupAndCleanEnd()
        }

        @Test func `P1 both are killed while a FIFREEZE hangs and recover says so, and ends`() throws {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            let freezer = try CrashScene.freezer(rig)
            rig.daemon.send(SIGKILL)
            try freezer.send(signal: SIGKILL)
            #expect(try rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            _ = pending.wait(until: .now + .seconds(5)) { $0 }
            let refused = try rig.control("recover")
            #expect(refused.ending == .exited(1))
            #expect(refused.output.contains("\(inner.mountPoint): its freeze or thaw hangs in the kernel"))
            try outer.thaw()
            // Now the ioctl returns in a process that is dead: what recover has left behind thaws.
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try wait(for: "the inner filesystem's thaw") { ledger.unsettled.isEmpty }
            #expect(try !inner.isFrozen())
            #expect(try rig.control("recover").ending == .exited(0))
            try rig.start()
            CrashScene.expectRefused(try rig.thaw())
            try expectNextBackupAndCleanEnd()
        }

        @Test func `P1 both are killed while a FIFREEZE hangs and the next daemon watches it`() throws {
            let pending = try beginFreeze()
            let ledger = try ledgerOfHangingFreeze()
            let freezer = try CrashScene.freezer(rig)
            rig.daemon.send(SIGKILL)
            try freezer.send(signal: SIGKILL)
            #expect(try rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            _ = pending.wait(until: .now + .seconds(5)) { $0 }
            let started = Moment.now
            try rig.launch()
            #expect(rig.host.waitForRegistration(number: 2, until: .now + .seconds(40)))
            print("MEASURED: \((Moment.now - started).milliseconds) ms in RECOVERING with a FIFREEZE that hangs")
            #expect(!freezer.hasEnded)
            CrashScene.expectRefused(try rig.thaw())
            _ = try rig.record()
            try expectFreezeFailsAtOnce(number: 2)
            try releaseAndExpectThaw(ledger)
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            try expectNextBackupAndCleanEnd()
        }
    }
}
