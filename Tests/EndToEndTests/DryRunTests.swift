import Channels
import FreezeCore
import History
import SystemPackage
import Testing

/// `quiesced --dry-run`: a request is planned, checked and reported, and nothing is touched.
extension EndToEnd {
    @Suite struct DryRunTests {
        @Test func `complaint 12: a dry run says what would be done, and does none of it`() throws {
            let filesystem = try ScratchFilesystem(.ext4)
            let rig = try DaemonRig(
                hooks: ["10-first": "echo $1 >> $TRACE", "20-second": "echo $1 >> $TRACE"], isStarted: false)
            try rig.start("--dry-run")
            #expect(try rig.hotBackup().status == .success)
            #expect(try rig.freeze().status == .success, "\(rig.log)")
            #expect(try !filesystem.isFrozen() && !FreezeProof.isFrozen("/"))
            #expect(try rig.thaw().status == .success)
            let record = try rig.record()
            #expect(record.isDryRun && !record.isGoodBackup)
            #expect(record.listedHooks == ["10-first", "20-second"])
            #expect(record.hooks.isEmpty)
            #expect(
                Set(record.filesystems.filter { $0.action == .freeze }.map(\.mountPoint))
                    == [filesystem.mountPoint, "/"])
            #expect(record.filesystems.allSatisfy { $0.flushes.isEmpty && $0.freeze == nil && $0.thaw == nil })
            try rig.daemon.waitForLine { $0.contains("dry run") && $0.contains("10-first, 20-second") }
            #expect(try rig.traced().isEmpty)
            #expect(try rig.stop() == .exited(0))
            try filesystem.remove()
        }

        @Test func `P2 a dry run fails where the real one would`() throws {
            let rig = try DaemonRig(isStarted: false)
            try rig.install(hook: "10-distrusted", "true", mode: "777")
            try rig.start("--dry-run")
            #expect(try rig.freeze().status == .failure)
            #expect(try rig.record().reason?.contains("10-distrusted is refused") == true)
            #expect(try rig.thaw().status == .success)
            #expect(try rig.stop() == .exited(0))
        }
    }
}
