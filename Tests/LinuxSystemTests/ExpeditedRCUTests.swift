import FreezeCore
import SystemPackage
import Testing

@testable import LinuxSystem

/// The kernel hurries with grace periods while filesystems are being frozen, and never longer.
@Suite struct ExpeditedRCUTests {
    private let machine: MachineFixture

    init() throws {
        machine = try MachineFixture()
    }

    private var setting: String? { SmallFile.text(machine.paths.sysfs.appending("kernel/rcu_expedited")) }

    @Test func `it is on from the beginning to the end`() throws {
        try machine.write("sys/kernel/rcu_expedited", "0\n")
        let expedited = try #require(ExpeditedRCU(paths: machine.paths))
        #expect(setting == "0\n")
        for _ in 0..<2 {
            expedited.begin()
            expedited.begin()
            #expect(setting == "1\n")
            expedited.end()
            #expect(setting == "0\n")
        }
    }

    @Test func `who forgets the end has it all the same`() throws {
        try machine.write("sys/kernel/rcu_expedited", "0\n")
        ExpeditedRCU(paths: machine.paths)?.begin()
        #expect(setting == "0\n")
    }

    @Test func `what an admin has turned on stays on`() throws {
        try machine.write("sys/kernel/rcu_expedited", "1\n")
        let expedited = try #require(ExpeditedRCU(paths: machine.paths))
        expedited.begin()
        expedited.end()
        #expect(setting == "1\n")
    }

    @Test func `it is turned off for one who died`() throws {
        try machine.write("sys/kernel/rcu_expedited", "1\n")
        ExpeditedRCU.endForTheDead(paths: machine.paths)
        #expect(setting == "0\n")
    }

    @Test func `a kernel without it is left alone`() {
        #expect(ExpeditedRCU(paths: machine.paths) == nil)
        ExpeditedRCU.endForTheDead(paths: machine.paths)
        #expect(setting == nil)
    }
}
