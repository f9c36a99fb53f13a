import FreezeCore
import SystemPackage
import Testing

/// P6: a filesystem is frozen before whatever it is stored on.
@Suite struct FreezeOrderTests {
    @Test func orderGoesThroughFilesystemsThatAreNotFrozen() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/stick", "vfat", "7:0")
        try fixture.mount("/deep", "xfs", "7:1")
        try fixture.store("7:0", on: "8:1")
        try fixture.store("7:1", on: "7:0")
        let plan = try fixture.plan()
        #expect(plan.steps.map { $0.map(\.mountPoint) } == [["/deep"], ["/"]])
        #expect(try plan.entry("/deep").storedOn.map(\.description) == ["7:0", "8:1"])
        #expect(
            try plan.entry("/deep").orderReason == "before /, which holds its image file by way of /stick")
    }

    @Test func `the order of an image file on a container's overlay is explained`() throws {
        var fixture = StorageFixture()
        for (mountPoint, device) in [("/", "8:1"), ("/srv", "8:2"), ("/var", "8:3"), ("/image", "7:0")] {
            try fixture.mount(FilePath(mountPoint), "ext4", device)
        }
        try fixture.mount("/merged", "overlay", "0:40", source: "overlay")
        try fixture.mount("/upper", "overlay", "0:41", source: "overlay")
        // On an overlay whose files are on another overlay on /var, and on /; and directly on /srv.
        for (device, base) in [
            ("7:0", "0:40"), ("0:40", "0:41"), ("0:41", "8:3"), ("0:40", "8:1"), ("7:0", "8:2"), ("0:40", "8:2"),
        ] {
            try fixture.store(device, on: base)
        }
        #expect(
            try fixture.plan().entry("/image").orderReason
                == "before /srv, which holds its image file; before /, /var, which holds its image file by way of /merged"
        )
    }

    @Test func theLongestWayDecides() throws {
        var fixture = StorageFixture()
        for (mountPoint, device) in [("/", "8:1"), ("/a", "7:1"), ("/b", "7:2"), ("/c", "7:3")] {
            try fixture.mount(FilePath(mountPoint), "ext4", device)
        }
        // /c lies on /b and directly on /, /b on /a, /a on /.
        try fixture.store("7:3", on: "7:2")
        try fixture.store("7:3", on: "8:1")
        try fixture.store("7:2", on: "7:1")
        try fixture.store("7:1", on: "8:1")
        let plan = try fixture.plan()
        #expect(plan.steps.map { $0.map(\.mountPoint) } == [["/c"], ["/b"], ["/a"], ["/"]])
    }

    /// `/` and `/srv` on local disks, `/served` and `/mapped` on hidden storage, `/image` in a file on `/served`.
    private func servedMachine() throws -> StorageFixture {
        var fixture = StorageFixture()
        for (mountPoint, device) in [
            ("/", "8:1"), ("/srv", "8:2"), ("/served", "43:0"), ("/mapped", "253:0"), ("/image", "7:0"),
        ] {
            try fixture.mount(FilePath(mountPoint), "ext4", device)
        }
        try fixture.store("7:0", on: "43:0")
        fixture.inventory.hiddenStorage = [
            DeviceNumber(major: 43, minor: 0): .nbd, DeviceNumber(major: 253, minor: 0): .iSCSI,
        ]
        return fixture
    }

    private func rule(_ first: String, _ then: String) throws -> FreezeOrder.Rule {
        FreezeOrder.Rule(
            first: [try FilesystemSelector(parsing: first)], then: [try FilesystemSelector(parsing: then)])
    }

    @Test func `P6 what a process of this machine may serve is frozen before local disks`() throws {
        let plan = try servedMachine().plan()
        #expect(
            plan.steps.map { $0.map(\.mountPoint) } == [["/image", "/mapped"], ["/served"], ["/", "/srv"]])
        #expect(
            try plan.entry("/image").orderReason
                == "before /served, which holds its image file; "
                + "before local disks, since a process of this machine may serve NBD from one")
        #expect(try plan.entry("/mapped").orderReason?.contains("iSCSI") == true)
        #expect(try plan.entry("/").orderReason == nil)
        #expect(!plan.lowersLevel)
    }

    @Test func `P6 the admin's rules give the order that the storage does not show`() throws {
        var fixture = StorageFixture()
        for (mountPoint, device) in [("/", "8:1"), ("/a", "8:2"), ("/b", "8:3")] {
            try fixture.mount(FilePath(mountPoint), "ext4", device)
        }
        let plan = try fixture.plan(
            PlanPolicy(order: [rule("/a", "/"), rule("/b", "/a"), rule("/x", "fstype:xfs")]))
        #expect(plan.steps.map { $0.map(\.mountPoint) } == [["/b"], ["/a"], ["/"]])
        #expect(try plan.entry("/b").orderReason == "before /a, by [[filesystems.order]]")
        #expect(plan.notes.count { $0.contains("in [[filesystems.order]] matches no filesystem") } == 2)
    }

    @Test func `P6 a rule wins over the guess about hidden storage, and makes no ring`() throws {
        let plan = try servedMachine().plan(PlanPolicy(order: [rule("/srv", "/served")]))
        // Before the others it stays frozen.
        #expect(
            plan.steps.map { $0.map(\.mountPoint) } == [["/image", "/mapped", "/srv"], ["/served"], ["/"]])
        #expect(try plan.entry("/srv").orderReason == "before /served, by [[filesystems.order]]")
    }

    @Test func `rules that contradict one another, or the storage, are an error that names the filesystems`()
        throws
    {
        for rules in [[try rule("/srv", "/"), try rule("/", "/srv")], [try rule("/served", "/image")]] {
            let error = #expect(throws: PlanError.self) { try servedMachine().plan(PlanPolicy(order: rules)) }
            #expect(error?.code == .contradiction && error?.problem.contains(" before /") == true)
        }
    }

    @Test func `P2 a server that writes through a freeze lowers the level, and the plan says why`() throws {
        var fixture = try servedMachine()
        fixture.inventory.hiddenStorage[DeviceNumber(major: 8, minor: 2)] = .nvmeLoop
        let plan = try fixture.plan()
        #expect(plan.lowersLevel && plan.filesystems(.freeze).count == 5)
        #expect(plan.notes.contains { $0.hasPrefix("/srv is on nvme-loop, which writes through a freeze") })
    }

    /// `/` on a local disk, and a filesystem on nvme-loop.
    private func loopedMachine(_ type: String = "ext4", superblock: String = "rw") throws -> StorageFixture {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/looped", type, "259:0", superblock: superblock)
        fixture.inventory.hiddenStorage[DeviceNumber(major: 259, minor: 0)] = .nvmeLoop
        return fixture
    }

    @Test(arguments: [
        ("ext4", PlanPolicy(), FilesystemAction.freeze), ("vfat", PlanPolicy(), .sync),
        ("ext4", PlanPolicy(exclude: [.mountPoint(Glob("/looped")!)]), .skip),
        ("ext4", PlanPolicy(include: [.mountPoint(Glob("/")!)]), .skip),
    ])
    func `P2 a server that writes through a freeze lowers the level whatever becomes of its filesystem`(
        type: String, policy: PlanPolicy, action: FilesystemAction
    ) throws {
        let plan = try loopedMachine(type).plan(policy)
        #expect(try plan.entry("/looped").action == action)
        #expect(plan.loweringLevel.map(\.mountPoint) == ["/looped"])
        #expect(plan.notes.contains { $0.hasPrefix("/looped is on nvme-loop, which writes through a freeze") })
    }

    @Test func `a read-only filesystem writes through no freeze, until it becomes writable`() throws {
        let policy = PlanPolicy(exclude: [.mountPoint(Glob("/looped")!)])
        let plan = try loopedMachine(superblock: "ro").plan(policy)
        #expect(!plan.lowersLevel && plan.notes == [])
        let mounts = try loopedMachine().inventory.mounts
        #expect(
            plan.relevantChange(in: mounts, policy: policy) == "/looped (ext4 on /dev/259:0) became writable")
    }

    @Test func aRingIsAnErrorThatNamesItsMembers() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/a", "ext4", "7:1")
        try fixture.mount("/b", "ext4", "7:2")
        try fixture.store("7:1", on: "7:2")
        try fixture.store("7:2", on: "7:1")
        let error = #expect(throws: PlanError.self) { try fixture.plan() }
        #expect(error?.code == .cycle)
        #expect(error?.problem.contains("/a on /b on /a") == true)
    }

    @Test func aRingOfFilesystemsThatAreNotFrozenHarmsNobody() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/a", "ext4", "7:1", superblock: "ro")
        try fixture.mount("/b", "ext4", "7:2", superblock: "ro")
        try fixture.store("7:1", on: "7:2")
        try fixture.store("7:2", on: "7:1")
        #expect(try fixture.plan().filesystems(.freeze).map(\.mountPoint) == ["/"])
    }

    @Test func whatASkippedFilesystemIsStoredOnIsTold() throws {
        let plan = try StorageFixture.everything().plan()
        let overlay = try plan.entry("/var/lib/docker/overlay2/x/merged")
        #expect(overlay.storedOn == [DeviceNumber(major: 8, minor: 1)])
    }

    @Test func randomGraphsAreOrderedRightly() throws {
        for seed in 0..<200 as Range<UInt64> {
            var generator = SplitMix(state: seed)
            var fixture = StorageFixture()
            try fixture.mount("/", "tmpfs", "0:99", source: "tmpfs")
            let count = Int.random(in: 1...30, using: &generator)
            for index in 0..<count {
                // One in four is not frozen, and must still pass the order on.
                let type = Int.random(in: 0..<4, using: &generator) == 0 ? "vfat" : "xfs"
                try fixture.mount(FilePath("/\(index)"), type, "7:\(index)")
                for base in 0..<index where Int.random(in: 0..<6, using: &generator) == 0 {
                    try fixture.store("7:\(index)", on: "7:\(base)")
                }
            }
            let plan = try fixture.plan()
            let steps = Dictionary(uniqueKeysWithValues: plan.filesystems(.freeze).map { ($0.device, $0.step) })
            for filesystem in plan.filesystems(.freeze) {
                let step = try #require(filesystem.step)
                for base in filesystem.storedOn {
                    guard let baseStep = steps[base] else { continue }
                    #expect(step < (try #require(baseStep)), "seed \(seed): \(filesystem.mountPoint)")
                }
            }
            // No step is empty: each costs a round trip while applications wait.
            #expect(plan.steps.allSatisfy { !$0.isEmpty }, "seed \(seed)")
        }
    }
}

/// Steele, Lea and Flood's SplitMix64: small, and the same everywhere for one seed.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
