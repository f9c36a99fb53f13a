import FreezeCore
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
        try machine.write("sys/devices/sda/stat", Self.statistics(written: 56))
        #expect(watched.map { $0?.count } == [56, 16])
    }

    @Test func `what cannot be counted proves nothing`() throws {
        #expect(try watch("20 1 8:32 / / rw - ext4 /dev/sdc rw\n").map { $0?.count } == [nil])
        try machine.write("sys/devices/sda/stat", "1 2 3")
        #expect(try watch(table).map { $0?.count } == [nil, 16])
    }

    @Test func `a swap partition is no matter, a swap file somewhere unknown is`() throws {
        let head = "Filename Type Size Used Priority\n"
        try machine.write("proc/swaps", head + "/dev/sdc partition 8 0 -2\n")
        #expect(try watch(table).map { $0?.count } == [48, 16])
        try machine.write("proc/swaps", head + "/gone/swap file 8 0 -2\n")
        #expect(try watch(table).map { $0 == nil } == [true, true])
    }
}
