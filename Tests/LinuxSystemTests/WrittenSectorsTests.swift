import FreezeCore
import Glibc
import SystemPackage
import Testing

@testable import LinuxSystem

/// P3: what is written to a frozen filesystem's devices betrays that it was thawed.
@Suite struct WrittenSectorsTests {
    private let machine: MachineFixture

    init() throws {
        machine = try MachineFixture()
        try machine.addDevice("sda", "8:0")
        try machine.addDevice("sdb", "8:16")
        try machine.write("sys/devices/sda/stat", Self.statistics(written: 48))
        try machine.write("sys/devices/sdb/stat", Self.statistics(written: 16))
    }

    private static func statistics(written: Int) -> String {
        "     100        0      900       12        7        1       \(written)        5        0       16       17"
    }

    private func watch(_ table: String) throws -> [WrittenSectors?] {
        let mounts = try MountTable.parse(Array(table.utf8), name: "table")
        let filesystems = mounts.map {
            PlannedFilesystem(device: $0.device, mount: $0, action: .freeze, reason: "")
        }
        return WrittenSectors.watch(filesystems, paths: machine.paths)
    }

    private let table = """
        20 1 8:0 / / rw - ext4 /dev/sda rw
        21 20 0:30 / /data rw - btrfs /dev/sdb rw

        """

    @Test func `each filesystem's own devices count, as they are at the moment`() throws {
        let watched = try watch(table)
        #expect(watched.map { $0?.count } == [48, 16])
        for filesystem in watched { filesystem?.markAsFrozen() }
        #expect(watched.map { $0?.hasGrown } == [false, false])
        try machine.write("sys/devices/sda/stat", Self.statistics(written: 56))
        #expect(watched.map { $0?.count } == [56, 16])
        #expect(watched.map { $0?.hasGrown } == [true, false])
        for filesystem in watched { filesystem?.markAsFrozen() }
        #expect(watched.map { $0?.hasGrown } == [false, false])
    }

    /// zram shows `iostats` as 0 and counts.
    @Test func `what counts is believed, whatever its switch says`() throws {
        try machine.write("sys/devices/sda/queue/iostats", "0\n")
        #expect(try watch(table).map { $0?.count } == [48, 16])
    }

    @Test func `what cannot be counted proves nothing`() throws {
        #expect(try watch("20 1 8:32 / / rw - ext4 /dev/sdc rw\n").map { $0?.count } == [nil])
        try machine.write("sys/devices/sda/stat", "1 2 3")
        let watched = try watch(table)
        #expect(watched.map { $0?.count } == [nil, 16])
        watched.first??.markAsFrozen()
        try machine.write("sys/devices/sda/stat", Self.statistics(written: 56))
        #expect(watched.first??.hasGrown == false)
    }

    @Test func `a swap partition is no matter, a swap file somewhere unknown is`() throws {
        let head = "Filename Type Size Used Priority\n"
        try machine.write("proc/swaps", head + "/dev/sdc partition 8 0 -2\n")
        #expect(try watch(table).map { $0?.count } == [48, 16])
        try machine.write("proc/swaps", head + "/gone/swap file 8 0 -2\n")
        #expect(try watch(table).map { $0 == nil } == [true, true])
    }

    /// The kernel swaps to it past the filesystem. Of btrfs only the type is known by its number.
    @Test func `a filesystem with a swap file on it proves nothing`() throws {
        try machine.write("swap", "")
        var status = stat()
        #expect(stat(machine.root.appending("swap").string, &status) == 0)
        let device = DeviceNumber(deviceType: status.st_dev)
        try machine.addDevice("sdc", "\(device.major):\(device.minor)")
        try machine.write("sys/devices/sdc/stat", Self.statistics(written: 8))
        try machine.write("proc/swaps", "Filename\n\(machine.root.appending("swap")) file 8 0 -2\n")
        let swapping = "22 20 \(device.major):\(device.minor) / /swapping rw - ext4 /dev/sdc rw\n"
        let watched = try watch(table + swapping).map { $0?.count }
        #expect(watched == (device.major == 0 ? [48, nil, nil] : [48, 16, nil]))
    }
}
