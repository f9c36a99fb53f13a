import Channels
import Foundation
import FreezeCore
import History
import LinuxCalls
import SystemPackage
import Testing

/// A machine with very many filesystems.
extension EndToEnd {
    @Suite struct MountCrowdTests {
        @Test func `P1 P2 three hundred filesystems are frozen and thawed`() throws {
            try RunningProgram.output(
                of: "bash",
                [
                    "-ec",
                    """
                    mkdir -p /mnt/crowd /tmp/crowd; mount -t tmpfs none /tmp/crowd
                    truncate --size 1M /tmp/crowd/0.img; mkfs.ext4 -q -F -O ^has_journal /tmp/crowd/0.img
                    for ((n = 1; n <= 300; n++)); do
                        cp --sparse=always /tmp/crowd/0.img /tmp/crowd/$n.img; mkdir -p /mnt/crowd/$n
                        mount -o loop /tmp/crowd/$n.img /mnt/crowd/$n
                    done
                    """,
                ], within: .seconds(50))
            let rig = try DaemonRig()
            let frozen = try rig.freeze()
            #expect(frozen.status == .success, "\(rig.log)")
            for number in [1, 150, 300] { #expect(try FreezeProof.isFrozen(FilePath("/mnt/crowd/\(number)"))) }
            let thawed = try rig.thaw()
            #expect(thawed.status == .success)
            let record = try rig.record()
            #expect(record.filesystems.count { $0.freeze != nil && $0.thaw != nil } == 301)
            let firstFlush = try #require(record.filesystems.first?.flushes.first).started
            print(
                "MEASURED: 301 filesystems: first flush after \(firstFlush - record.started), FREEZE answered in "
                    + "\(frozen.duration), THAW in \(thawed.duration)")
            try rig.waitUntilReleased()
            try RunningProgram.output(
                of: "bash",
                ["-ec", "for ((n = 1; n <= 300; n++)); do umount /mnt/crowd/$n; done; umount /tmp/crowd"],
                within: .seconds(50))
        }
    }
}
