import FreezeCore
import SystemPackage
import Testing

@testable import LinuxSystem

/// P5: what has the place of a frozen filesystem later is told from it.
@Suite struct SuperblockLifeTests {
    private let machine: MachineFixture

    init() throws {
        machine = try MachineFixture()
        try machine.addDevice("sda", "8:0")
        try machine.addDevice("sdb", "8:16")
        try machine.addDevice("cciss!c0d0", "104:0")
        try machine.addDevice("sdc", "8:32")
    }

    private func number(_ line: String) throws -> UInt64? {
        let mount = try #require(try MountTable.parse(Array("\(line)\n".utf8), name: "table").first)
        return SuperblockLife.number(of: mount, paths: machine.paths)
    }

    @Test func `each superblock has its number, as long as it lives`() throws {
        try machine.write("sys/fs/ext4/sda/errors_count", "0")
        try machine.write("sys/fs/xfs/cciss!c0d0/log/head", "0")
        let ext4 = try number("20 1 8:0 / / rw - ext4 /dev/sda rw")
        let xfs = try number("21 20 104:0 / /data rw - xfs /dev/cciss/c0d0 rw")
        #expect(ext4 != nil && xfs != nil && ext4 != xfs)
        #expect(try number("30 20 8:0 /sub /bind rw - ext4 /dev/sda rw") == ext4)
        #expect(SuperblockLife.number(on: DeviceNumber(major: 8, minor: 0), paths: machine.paths) == ext4)
    }

    @Test func `a btrfs is found by any of its members, mounted or not`() throws {
        for name in ["sdb", "sdc"] {
            try machine.link("sys/fs/btrfs/1234-abcd/devices/\(name)", to: "sys/class/block/\(name)")
        }
        let first = try #require(try number("20 1 0:40 / / rw - btrfs /dev/sdb rw"))
        #expect(try number("21 1 0:40 /home /home rw - btrfs /dev/sdc rw") == first)
        let members = SuperblockLife.members(ofBtrfs: first, paths: machine.paths)
        #expect(members == [DeviceNumber(major: 8, minor: 16), DeviceNumber(major: 8, minor: 32)])
        #expect(SuperblockLife.members(ofBtrfs: first + 1_000_000, paths: machine.paths).isEmpty)
    }

    @Test(arguments: ["8:0 / / rw - jfs /dev/sda rw", "0:41 / / rw - btrfs /dev/gone rw"])
    func `what shows no number has none`(mount: String) throws {
        #expect(try number("20 1 \(mount)") == nil)
    }
}
