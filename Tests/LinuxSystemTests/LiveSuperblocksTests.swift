import FreezeCore
import SystemPackage
import Testing

@testable import LinuxSystem

/// P2: a live filesystem without a mount is found in /sys/fs.
@Suite struct LiveSuperblocksTests {
    private let machine: MachineFixture

    init() throws {
        machine = try MachineFixture()
        try machine.addDevice("sda", "8:0")
        try machine.addDevice("sdb", "8:16")
        try machine.addDevice("sdc", "8:32")
        try machine.addDevice("dm-0", "253:0")
        try machine.write("sys/devices/dm-0/dm/name", "vg-data")
    }

    private func missing(from table: String = "") throws -> [UnreachableFilesystem] {
        let mounts = try MountTable.parse(Array(table.utf8), name: "table")
        return LiveSuperblocks(paths: machine.paths).missing(from: mounts)
    }

    @Test func whatIsMountedIsNotMissing() throws {
        try machine.write("sys/fs/ext4/sda/errors_count", "0")
        try machine.write("sys/fs/ext4/features/lazy_itable_init", "supported")
        try machine.write("sys/fs/xfs/dm-0/log/head", "0")
        try machine.write("sys/fs/xfs/stats/stats", "")
        let all = try missing()
        #expect(all.map(\.summary) == ["ext4 on /dev/sda", "xfs on /dev/mapper/vg-data"])
        #expect(all.map(\.devices) == [[DeviceNumber(major: 8, minor: 0)], [DeviceNumber(major: 253, minor: 0)]])
        #expect(Set(all.map(\.life)).count == 2)
        let left = try missing(from: "20 1 8:0 / / rw - ext4 /dev/sda rw\n")
        #expect(left.map(\.summary) == ["xfs on /dev/mapper/vg-data"])
    }

    @Test func whatNobodyCanWriteToIsNotMissing() throws {
        for name in ["sda", "sdb", "sdc"] { try machine.write("sys/fs/ext4/\(name)/errors_count", "0") }
        try machine.write("sys/devices/sda/ro", "1")
        try machine.write("sys/devices/sdb/ro", "0")
        try machine.write("proc/fs/ext4/sdb/options", "ro\nbsddf")
        try machine.write("proc/fs/ext4/sdc/options", "rw\nbsddf")
        #expect(try missing().map(\.summary) == ["ext4 on /dev/sdc"])
    }

    @Test func aBtrfsIsKnownByAnyOfItsMembers() throws {
        for name in ["sda", "sdb"] {
            try machine.link("sys/fs/btrfs/1234/devices/\(name)", to: "sys/class/block/\(name)")
        }
        try machine.link("sys/fs/btrfs/5678/devices/sdc", to: "sys/class/block/sdc")
        try machine.write("sys/fs/btrfs/features/big_metadata", "0")
        #expect(try missing().map(\.summary) == ["btrfs on /dev/sda", "btrfs on /dev/sdc"])
        let mount = "20 1 0:40 / / rw - btrfs /dev/sdb rw\n"
        #expect(try missing(from: mount).map(\.summary) == ["btrfs on /dev/sdc"])
        // The mount may be of either filesystem.
        #expect(try missing(from: "21 1 0:41 / /b rw - btrfs /dev/root rw\n").isEmpty)
    }

    @Test func anEntryWhoseSuperblockHasEndedIsPassedOver() throws {
        try machine.link("sys/fs/ext4/sda", to: "nothing")
        #expect(try missing().isEmpty)
    }
}
