import Channels
import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import SystemPackage
import Testing

/// A killed daemon with a thread hanging in the kernel does not end: all descriptors and the lock stay. No process
/// may wait for the daemon.
extension EndToEnd {
    @Suite struct DyingDaemonTests {
        private let outer: ScratchFilesystem
        private let inner: ScratchFilesystem
        private let other: ScratchFilesystem
        private let rig: DaemonRig

        /// A flush hangs: dirty data of the inner filesystem goes to the outer filesystem, and the outer
        /// filesystem is frozen.
        init() throws {
            outer = try ScratchFilesystem(.ext4, mebibytes: 256)
            inner = try ScratchFilesystem(.ext4, on: .image(in: outer.mountPoint))
            other = try ScratchFilesystem(.xfs)
            rig = try DaemonRig(configuration: [
                "freeze": "flush_timeout = \"1s\"", "filesystems": "exclude = [\"\(outer.mountPoint)\"]",
            ])
            try outer.freeze()
            let file = inner.mountPoint.appending("dirty").string
            try RunningProgram.output(of: "dd", ["if=/dev/zero", "of=\(file)", "bs=1M", "count=4", "status=none"])
            CrashScene.expectRefused(try rig.freeze())
            try RunningProgram.output(of: "umount", ["--lazy", inner.mountPoint.string])
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try KernelWaits.uninterruptible(rig.daemon.processIdentifier).contains("flush"))
            #expect(try FreezeProof.isFrozen("/") && other.isFrozen())
        }

        private func expectDying() throws {
            let daemon = try #require(
                ProcessIdentity(of: rig.daemon.processIdentifier).flatMap { ProcessHandle($0) })
            try wait(for: "the end of the daemon's other threads") { daemon.isDying }
            #expect(!daemon.hasEnded)
        }

        private func finish() throws {
            #expect(try !FreezeProof.isFrozen("/") && !other.isFrozen())
            let dying = rig.daemon
            // The new daemon takes the lock from the dying daemon.
            try rig.start()
            CrashScene.expectRefused(try rig.thaw())
            try outer.thaw()
            #expect(try dying.waitForExit() == .killed(signal: SIGKILL))
            try RunningProgram.output(of: "mount", [inner.device.string, inner.mountPoint.string])
            try rig.expectHealthy(freezing: [inner.mountPoint, other.mountPoint])
            #expect(try rig.stop() == .exited(0))
            for filesystem in [inner, outer, other] { try filesystem.remove() }
        }

        @Test func `P1 recover and the next start treat a killed daemon that hangs as dead`() throws {
            let freezer = try CrashScene.freezer(rig)
            // A stopped freezer cannot thaw when the daemon dies.
            try freezer.send(signal: SIGSTOP)
            try wait(for: "the freezer to stop") { freezer.isStopped }
            rig.daemon.send(SIGKILL)
            try expectDying()
            try freezer.send(signal: SIGKILL)
            #expect(freezer.waitForEnd(atMost: .seconds(5)))
            #expect(try FreezeProof.isFrozen("/") && other.isFrozen())
            let recovery = try rig.control("recover")
            #expect(recovery.ending == .exited(0), "\(recovery.output) \(recovery.errors)")
            try finish()
        }

        @Test func `P1 the freezer thaws at once when a daemon that hangs is killed`() throws {
            let ledger = try CrashScene.ledger(rig)
            let killed = Moment.now
            rig.daemon.send(SIGKILL)
            try CrashScene.waitForThaw(of: ledger, since: killed, within: .seconds(2))
            print(
                "MEASURED: \((Moment.now - killed).milliseconds) ms from the daemon's SIGKILL to the thaw; a flush hangs"
            )
            try expectDying()
            try finish()
        }
    }
}
