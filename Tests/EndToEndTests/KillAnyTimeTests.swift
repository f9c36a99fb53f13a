import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

/// P1 wherever in a request the processes die: a grid of moments, not only the ones that somebody thought of.
extension EndToEnd {
    @Suite struct KillAnyTimeTests {
        enum Victim: CaseIterable, Sendable { case daemon, freezer, both }

        private let filesystems: [ScratchFilesystem]
        private let rig: DaemonRig
        private var mountPoints: [FilePath] { filesystems.map(\.mountPoint) + ["/"] }

        init() throws {
            let outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            filesystems = [try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint)), outer]
            rig = try DaemonRig(hooks: ["10-trace": "echo \"$1${QUIESCE_RESULT:+ $QUIESCE_RESULT}\" >> $TRACE"])
        }

        /// Sends the operation and kills after so many milliseconds, answered or not.
        private func kill(_ victim: Victim, milliseconds delay: Int, into operation: HyperVOperation) throws {
            let answer = Monitor<Bool>(false)
            let host = rig.host
            let freezer = try CrashScene.freezer(rig)
            try OperatingSystemThread.start("host") {
                _ = try? host.perform(operation)
                answer.update { $0 = true }
            }
            // The moment is the point of it; it is not waited for anything to have happened.
            _ = pollDescriptors([], until: .now + .milliseconds(delay))
            if victim == .both { rig.daemon.send(SIGSTOP) }
            if victim != .daemon {
                try freezer.send(signal: SIGKILL)
                #expect(freezer.waitForEnd(atMost: .seconds(10)))
            }
            if victim != .freezer {
                rig.daemon.send(SIGKILL)
                _ = try rig.daemon.waitForExit()
                #expect(freezer.waitForEnd(atMost: .seconds(10)))
            }
            #expect(answer.wait(until: .now + .seconds(15)) { $0 ? true : nil } == true)
        }

        /// Whatever was going on: nothing is frozen, each hook has had its thaw, and the next backup works.
        private func expectRecovery(_ victim: Victim, _ description: String) throws {
            if victim != .freezer {
                let recovery = try rig.control("recover")
                #expect(recovery.ending == .exited(0), "\(description): \(recovery.output) \(recovery.errors)")
                for mountPoint in mountPoints { #expect(try !FreezeProof.isFrozen(mountPoint), "\(description)") }
                try rig.start()
            }
            // Frozen, if the freezer died before it was needed; over, if not; of another life, or not even that.
            let thaw = try rig.thaw()
            #expect(victim == .freezer || thaw.status == .failure, "P3, \(description)")
            for mountPoint in mountPoints { #expect(try !FreezeProof.isFrozen(mountPoint), "\(description)") }
            #expect(try rig.freeze().status == .success, "\(description); log: \(rig.log)")
            for mountPoint in mountPoints { #expect(try FreezeProof.isFrozen(mountPoint), "\(description)") }
            #expect(try rig.thaw().status == .success, "\(description); log: \(rig.log)")
            for mountPoint in mountPoints { #expect(try !FreezeProof.isFrozen(mountPoint), "\(description)") }
        }

        /// P4: as many thaws as freezes at least, and the last word is a thaw.
        private func expectHooksThawed() throws {
            #expect(try rig.stop() == .exited(0))
            let calls = try rig.traced()
            #expect(calls.count { $0 == "freeze" } <= calls.count { $0.hasPrefix("thaw") })
            #expect(calls.last?.hasPrefix("thaw") == true)
            for filesystem in filesystems { try filesystem.remove() }
        }

        @Test(arguments: Victim.allCases)
        func `P1 P3 P4 killed at any moment of FREEZE`(victim: Victim) throws {
            for delay in stride(from: 0, through: 60, by: 12) {
                try kill(victim, milliseconds: delay, into: .freeze)
                try expectRecovery(victim, "\(victim) killed \(delay) ms into FREEZE")
            }
            try expectHooksThawed()
        }

        @Test(arguments: Victim.allCases)
        func `P1 P3 P4 killed at any moment of THAW`(victim: Victim) throws {
            for delay in 0..<4 {
                #expect(try rig.freeze().status == .success)
                try kill(victim, milliseconds: delay, into: .thaw)
                try expectRecovery(victim, "\(victim) killed \(delay) ms into THAW")
            }
            try expectHooksThawed()
        }
    }
}
