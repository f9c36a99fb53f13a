import Channels
import ControlProtocol
import Foundation
import FreezeCore
import FreezerProtocol
import History
import LinuxCalls
import SystemPackage
import Testing

/// A FIFREEZE that hangs because a writer waits for the permission of a program that never gives it, while other
/// filesystems are frozen already.
extension EndToEnd {
    @Suite struct HeldWriterTests {
        /// Who is killed while it hangs.
        enum Victim: String, CaseIterable, CustomTestStringConvertible {
            case nobody, freezer, daemon, both
            var testDescription: String { rawValue }
        }

        private let held: ScratchFilesystem
        private let other: ScratchFilesystem
        private let rig: DaemonRig
        private let listener: OpenPermissionListener
        private let writer: RunningProgram

        init() throws {
            held = try ScratchFilesystem(.ext4)
            other = try ScratchFilesystem(.xfs)
            rig = try DaemonRig(
                configuration: ["freeze": "timeout = \"3s\""],
                hooks: ["10-trace": "echo \"$1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"])
            let file = held.mountPoint.appending("agreed")
            try RunningProgram.output(of: "touch", [file.string])
            listener = try OpenPermissionListener(file)
            writer = try listener.addWriter()
        }

        private var others: [FilePath] { [other.mountPoint, "/"] }

        @Test(arguments: Victim.allCases)
        func `complaint 1, P1 P2 P9: a writer that waits for permission holds up its own filesystem alone`(
            victim: Victim
        ) throws {
            let poll = try StatusPoll(rig)
            let pending = PendingAnswer(.freeze, of: rig.host)
            let freezer = try CrashScene.freezer(rig)
            try wait(for: "a FIFREEZE that hangs, the others frozen") {
                guard try KernelWaits.isInFreeze(freezer.identity.processID) else { return false }
                let states = try CrashScene.ledger(rig).superblocks.indices.map {
                    try CrashScene.ledger(rig).word($0).state
                }
                guard states.count(where: { $0 == .frozen }) == 2, states.count(where: { $0 == .freezing }) == 1
                else {
                    return false
                }
                // What the freezer has not yet told when it is killed, the daemon takes for not frozen.
                return try rig.status().request?.filesystems.count { $0.progress == "frozen" } == 2
            }
            let ledger = try CrashScene.ledger(rig)
            if victim == .freezer || victim == .both { try freezer.send(signal: SIGKILL) }
            if victim == .daemon || victim == .both {
                _ = poll.stop()
                rig.daemon.send(SIGKILL)
            }
            let killed = Moment.now
            if victim == .daemon {
                // Not at the freeze deadline, but at once.
                try wait(for: "the thaw of the others", within: .milliseconds(1500)) {
                    ledger.unsettled.count == 1
                }
                print("MEASURED: \((Moment.now - killed).milliseconds) ms to the others' thaw; killed: daemon")
            }
            let answer = try pending.value()
            #expect(answer.status == .failure)
            if victim == .daemon || victim == .both {
                #expect(try rig.daemon.waitForExit() == .killed(signal: SIGKILL))
            }
            try expectOthersThawed(ledger, victim)
            if victim == .nobody || victim == .freezer { try expectTold(answer, poll, victim) }

            #expect(ledger.unsettled.count == 1 && !freezer.hasEnded)
            let released = Moment.now
            listener.release()
            try CrashScene.waitForThaw(of: ledger, since: released, within: .seconds(10))
            print(
                "MEASURED: \((Moment.now - released).milliseconds) ms from the writer's release to the "
                    + "thaw; killed: \(victim)")
            #expect(try !held.isFrozen())
            #expect(try writer.waitForExit() == .exited(0))
            #expect(try String(contentsOfFile: listener.file.string, encoding: .utf8) == "written\n")
            try expectHealthy(victim, freezer)
        }

        /// By whoever is left; proven before the one that hangs is let go.
        private func expectOthersThawed(_ ledger: Ledger, _ victim: Victim) throws {
            let begun = Moment.now
            let recovery = victim == .both ? try rig.controlling("recover") : nil
            try wait(for: "the thaw of the others") { ledger.unsettled.count == 1 }
            if let recovery {
                print("MEASURED: \((Moment.now - begun).milliseconds) ms from recover to the others' thaw")
                #expect(Moment.now - begun < .seconds(5))
                #expect(try recovery.waitForExit(within: .seconds(30)) == .exited(1))
                let told = recovery.text(of: .output)
                #expect(told.contains("\(held.mountPoint): its freeze or thaw hangs in the kernel"), "\(told)")
                for mountPoint in others { #expect(told.contains("  \(mountPoint): thawed\n"), "\(told)") }
            }
            for mountPoint in others { #expect(try !FreezeProof.isFrozen(mountPoint), "\(mountPoint)") }
        }

        /// The host, whoever asks for the status, and the history.
        private func expectTold(_ answer: HyperVHostAnswer, _ poll: StatusPoll, _ victim: Victim) throws {
            CrashScene.expectRefused(answer)
            print(
                "MEASURED: FREEZE answered after \(answer.duration.milliseconds) ms, freeze.timeout is 3000 ms; killed: "
                    + "\(victim)")
            #expect(answer.duration >= .seconds(3) && answer.duration < .seconds(7))
            #expect(try rig.status().stuck == [held.mountPoint.string])
            let record = try rig.record()
            let reason = try #require(record.reason)
            #expect(reason.contains("\(held.mountPoint): not frozen within freeze.timeout"), "\(reason)")
            try rig.waitForTrace("thaw failed")
            // The next one is refused at once: nobody waits for what hangs.
            let next = try rig.freeze()
            CrashScene.expectRefused(next)
            #expect(next.duration < .seconds(1))
            let findings = poll.expectAlwaysAnswered("while a FIFREEZE hung; killed: \(victim)")
            #expect(findings.freezing.contains(held.mountPoint.string))
            #expect(findings.stuck == [held.mountPoint.string])
        }

        private func expectHealthy(_ victim: Victim, _ freezer: ProcessHandle) throws {
            if victim != .nobody { #expect(freezer.waitForEnd(atMost: .seconds(5))) }
            if victim == .daemon || victim == .both {
                try rig.start()
                CrashScene.expectRefused(try rig.thaw())
                try rig.waitForTrace("thaw failed")
            }
            try rig.waitUntilReleased()
            try rig.expectHealthy(freezing: [held.mountPoint, other.mountPoint])
            #expect(try rig.stop() == .exited(0))
            try held.remove()
            try other.remove()
        }

        @Test func `check names the program whose permission is waited for`() throws {
            let check = try rig.control("check")
            let words = check.output.split(whereSeparator: \.isWhitespace).joined(separator: " ")
            #expect(words.contains("must agree to every access to \(held.mountPoint)"), "\(check.output)")
            listener.release()
            #expect(try writer.waitForExit() == .exited(0))
            #expect(try !rig.control("check").output.contains("must agree to every"))
            try held.remove()
            try other.remove()
        }
    }
}
