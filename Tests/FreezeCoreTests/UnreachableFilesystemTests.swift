import FreezeCore
import SystemPackage
import Testing

/// P2: a live filesystem in no mount table is named, and lowers the level.
@Suite struct UnreachablePlanTests {
    private let fixture: StorageFixture

    init() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/xfs", "xfs", "8:2")
        var lost = UnreachableFilesystem(
            type: "xfs", source: "/dev/mapper/vg-lost", devices: [DeviceNumber(major: 253, minor: 4)], life: 77)
        lost.identity = FilesystemIdentity(uuid: "5A7B-22", label: "lost")
        lost.devicePaths = ["/dev/mapper/vg-lost", "/dev/dm-4"]
        fixture.inventory.unreachable = [lost]
        self.fixture = fixture
    }

    private func plan(
        include: [String] = [], exclude: [String] = [], _ unreachable: PlanPolicy.Unreachable = .lower
    ) throws -> FreezePlan {
        try fixture.plan(
            PlanPolicy(
                include: include.map { try FilesystemSelector(parsing: $0) },
                exclude: exclude.map { try FilesystemSelector(parsing: $0) }, unreachable: unreachable))
    }

    @Test func itIsNamedAndLowersTheLevel() throws {
        let plan = try plan()
        #expect(plan.unreachable.map(\.summary) == ["xfs on /dev/mapper/vg-lost"])
        #expect(plan.lowersLevel)
        #expect(plan.notes.count == 1)
        #expect(plan.notes.first?.hasPrefix("xfs on /dev/mapper/vg-lost is in use and in no mount table") == true)
    }

    @Test func failNamesIt() throws {
        let error = #expect(throws: PlanError.self) { try plan(.fail) }
        #expect(error?.code == .unreachable)
        #expect(error?.subject == "xfs on /dev/mapper/vg-lost")
    }

    @Test(arguments: ["/dev/mapper/vg-lost", "/dev/dm-*", "UUID=5a7b-22", "LABEL=lost", "fstype:xfs"])
    func excludeSilencesIt(_ selector: String) throws {
        let plan = try plan(exclude: [selector], .fail)
        #expect(plan.unreachable.isEmpty && !plan.lowersLevel)
        #expect(!plan.notes.contains { $0.contains("in no mount table") })
    }

    @Test func aMountPointNamesNoFilesystemWithoutOne() throws {
        #expect(try !plan(exclude: ["/xfs/**"]).unreachable.isEmpty)
    }

    @Test(arguments: [(["/"], false), (["/", "fstype:xfs"], true), (["/", "/dev/mapper/*"], true)])
    func withIncludeOnlyWhatThatNamesCounts(_ include: [String], _ counts: Bool) throws {
        #expect(try plan(include: include).unreachable.isEmpty != counts)
    }
}
