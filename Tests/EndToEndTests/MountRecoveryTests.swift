import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

/// P1 for filesystems that the next instance of quiesced does not find in its own mount table.
extension EndToEnd {
    @Suite struct MountRecoveryTests {
        private let filesystem: UnheldFilesystem
        private let container: ScratchContainer
        private let rig: DaemonRig
        private let ledger: Ledger

        /// Both processes of quiesce are killed while a container's filesystem is frozen.
        init() throws {
            filesystem = try UnheldFilesystem("orphan")
            container = try ScratchContainer(filesystem.mountCommand)
            rig = try DaemonRig()
            #expect(try rig.freeze().status == .success)
            ledger = try CrashScene.ledger(rig)
            try rig.killBoth()
            #expect(try FreezeProof.isFrozen(container.path(filesystem.mountPoint)))
        }

        private func recover() throws -> String {
            let recovery = try rig.control("recover")
            #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
            #expect(recovery.output.contains("  /: thawed\n"), "\(recovery.output)")
            #expect(ledger.unsettled == [])
            #expect(try !FreezeProof.isFrozen("/"))
            return recovery.output
        }

        @Test func `P1 recover thaws what is mounted only in a container`() throws {
            #expect(try recover().contains("  \(filesystem.mountPoint): thawed\n"))
            #expect(try !FreezeProof.isFrozen(container.path(filesystem.mountPoint)))
            try container.end()
            try filesystem.remove()
        }

        @Test func `P1 recover thaws what is mounted nowhere any more`() throws {
            try container.end()
            #expect(try recover().contains("  \(filesystem.mountPoint): thawed\n"))
            // Frozen, it would live on in its device.
            try filesystem.remove()
        }

        @Test func `recover leaves a device alone that no filesystem lives on`() throws {
            try RunningProgram.output(
                of: "fsfreeze", ["--unfreeze", container.path(filesystem.mountPoint).string])
            try container.end()
            try filesystem.waitForEnd()
            let before = try RunningProgram.output(of: "sha256sum", [filesystem.device.string])
            #expect(
                try recover().contains(
                    "  \(filesystem.mountPoint): not mounted any more, and nothing of it is left to be frozen\n"))
            #expect(try RunningProgram.output(of: "sha256sum", [filesystem.device.string]) == before)
            try filesystem.remove()
        }
    }
}
