import FreezeCore
import SystemPackage
import Testing

@testable import Coordinator

@Suite struct ZFSPoolTests {
    private func plan(_ filesystems: [(type: String, source: String, action: FilesystemAction)]) -> FreezePlan {
        FreezePlan(
            filesystems: filesystems.enumerated().map { index, filesystem in
                let device = DeviceNumber(major: 0, minor: UInt32(index))
                return PlannedFilesystem(
                    device: device,
                    mount: MountEntry(
                        mountID: UInt64(index), parentID: 0, device: device, root: "/",
                        mountPoint: FilePath("/\(index)"), mountOptions: "rw", filesystemType: filesystem.type,
                        source: filesystem.source, superblockOptions: "rw"), action: filesystem.action, reason: "")
            })
    }

    @Test func `each pool with a filesystem to flush is found once`() {
        let plan = plan([
            ("zfs", "tank/data", .sync), ("zfs", "tank/logs", .sync), ("zfs", "rpool", .sync),
            ("zfs", "spare/data", .skip), ("vfat", "boot/efi", .sync), ("zfs", "-f", .sync),
        ])
        #expect(ZFSPool.all(of: plan.filesystems).map(\.name) == ["tank", "rpool"])
        #expect(ZFSPool.all(of: plan.filesystems).map(\.device.minor) == [0, 2])
    }

    @Test(.needsRoot(toTest: "a program that only root can change"))
    func `a pool is synced, a failure has a name, and without the program there is nothing to do`() {
        let pool = ZFSPool(name: "tank", device: DeviceNumber(major: 0, minor: 1))
        #expect(pool.sync(by: "/usr/bin/true") == nil)
        #expect(pool.sync(by: "/usr/bin/zpool-that-is-not-there") == nil)
        #expect(pool.sync(by: "/usr/bin/false")?.hasPrefix("/usr/bin/false sync tank: ") == true)
        #expect(pool.sync(by: "/usr/bin/cat")?.contains("cat: sync: No such file") == true)
    }
}
