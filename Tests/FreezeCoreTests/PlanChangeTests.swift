import FreezeCore
import SystemPackage
import Testing

@Suite struct PlanChangeTests {
    struct Case: CustomTestStringConvertible, Sendable {
        let testDescription: String
        var policy = PlanPolicy()
        let change: @Sendable (inout StorageFixture) throws -> Void
        let expected: String?
    }

    @Test(arguments: [
        Case(testDescription: "nothing", change: { _ in }, expected: nil),
        Case(
            testDescription: "a new tmpfs",
            change: { try $0.mount("/run/user/1", "tmpfs", "0:77", source: "tmpfs") },
            expected: nil),
        Case(
            testDescription: "another bind mount", change: { try $0.mount("/bind", "xfs", "8:2", root: "/sub") },
            expected: nil),
        Case(
            testDescription: "a new disk", change: { try $0.mount("/new", "ext4", "8:49") },
            expected: "/new (ext4 on /dev/8:49) was mounted"),
        Case(
            testDescription: "a new stick, to be synced", change: { try $0.mount("/new", "vfat", "8:49") },
            expected: "/new (vfat on /dev/8:49) was mounted"),
        Case(
            testDescription: "a new stick that a process serves",
            change: { try $0.mount("/new", "fuseblk", "8:49") },
            expected: "/new (fuseblk on /dev/8:49) was mounted"),
        Case(
            testDescription: "a new FUSE mount of a user",
            change: { try $0.mount("/new", "fuse.x", "0:99", source: "/dev/8:49") }, expected: nil),
        Case(
            testDescription: "a new read-only disk",
            change: { try $0.mount("/new", "ext4", "8:49", superblock: "ro") }, expected: nil),
        Case(
            testDescription: "a planned one gone", change: { $0.remove("/srv") },
            expected: "/srv (xfs on /dev/8:2) was unmounted"),
        Case(
            testDescription: "only its other mount point gone", change: { $0.remove("/srv/public") }, expected: nil
        ),
        Case(
            testDescription: "a synced one gone", change: { $0.remove("/media/stick one") },
            expected: "/media/stick\\040one (vfat on /dev/8:17) was unmounted"),
        Case(testDescription: "a skipped one gone", change: { $0.remove("/net") }, expected: nil),
        Case(
            testDescription: "turned read-only",
            change: { try $0.replace("/srv", "xfs", "8:2", superblock: "ro,noquota") },
            expected: "/srv (xfs on /dev/8:2) became read-only"),
        Case(
            testDescription: "bind mount turned read-only",
            change: { try $0.replace("/srv", "xfs", "8:2", options: "ro") },
            expected: nil),
        Case(
            testDescription: "turned writable", change: { try $0.replace("/cdrom", "ext4", "11:0") },
            expected: "/cdrom (ext4 on /dev/11:0) became writable"),
        Case(
            testDescription: "the mount's id taken by another filesystem",
            change: { try $0.replace("/srv", "xfs", "8:50") },
            expected: "/srv (xfs on /dev/8:2) was replaced by another filesystem"),
    ])
    func changesThatMatterAreNamed(_ example: Case) throws {
        var fixture = try StorageFixture.everything()
        let plan = try fixture.plan(example.policy)
        try example.change(&fixture)
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: example.policy) == example.expected)
    }

    @Test(arguments: [
        Case(testDescription: "nothing", change: { _ in }, expected: nil),
        Case(
            testDescription: "a new disk", change: { try $0.mount("/new", "ext4", "8:49") },
            expected: "/new (ext4 on /dev/8:49) was mounted"),
        Case(
            testDescription: "turned writable", change: { try $0.replace("/cdrom", "ext4", "11:0") },
            expected: "/cdrom (ext4 on /dev/11:0) became writable"),
        Case(
            testDescription: "turned writable elsewhere, after the line of the first mount was read",
            change: { try $0.mount("/cdrom2", "ext4", "11:0") },
            expected: "/cdrom (ext4 on /dev/11:0) became writable"),
        Case(
            testDescription: "another one in a skipped one's place",
            change: { try $0.replace("/cdrom", "xfs", "11:0") },
            expected: "/cdrom (xfs on /dev/11:0) was mounted"),
        Case(
            testDescription: "a new read-only disk",
            change: { try $0.mount("/new", "ext4", "8:49", superblock: "ro") }, expected: nil),
        Case(testDescription: "a planned one gone", change: { $0.remove("/srv") }, expected: nil),
        Case(testDescription: "a synced one gone", change: { $0.remove("/media/stick one") }, expected: nil),
        Case(
            testDescription: "another bind mount", change: { try $0.mount("/bind", "xfs", "8:2", root: "/sub") },
            expected: nil),
        Case(
            testDescription: "a new tmpfs",
            change: { try $0.mount("/run/user/1", "tmpfs", "0:77", source: "tmpfs") }, expected: nil),
        Case(
            testDescription: "a new FUSE mount that calls itself a disk",
            change: { try $0.mount("/home/u/x", "fuse.evil", "0:78", source: "/dev/sdb1") }, expected: nil),
        Case(
            testDescription: "an excluded disk",
            policy: PlanPolicy(exclude: [.filesystemType("ext4")]),
            change: { try $0.mount("/new", "ext4", "8:49") }, expected: nil),
    ])
    func whatBecomesWritableIsNamed(_ example: Case) throws {
        var fixture = try StorageFixture.everything()
        let plan = try fixture.plan(example.policy)
        try example.change(&fixture)
        #expect(plan.newlyWritable(in: fixture.inventory.mounts, policy: example.policy) == example.expected)
    }

    @Test(
        arguments: [
            ("", "/new", nil), ("/srv", "", nil), ("/new", "", "/new"), ("fstype:xfs", "", nil),
            ("fstype:ext4", "", "/new"), ("", "fstype:ext4", nil),
            // What a UUID names cannot be told from the table: it might be this one.
            ("UUID=5a7b-22", "", "/new"), ("", "UUID=5a7b-22", "/new"),
        ] as [(String, String, String?)])
    func aNewFilesystemMattersByPolicy(_ include: String, _ exclude: String, _ expected: String?) throws {
        var fixture = try StorageFixture.everything()
        func selectors(_ text: String) throws -> [FilesystemSelector] {
            text.isEmpty ? [] : [try FilesystemSelector(parsing: text)]
        }
        let policy = PlanPolicy(include: try selectors(include), exclude: try selectors(exclude))
        // The plan was made while /new was still mounted read-only.
        try fixture.mount("/new", "ext4", "8:49", superblock: "ro")
        let plan = try fixture.plan(include == "/new" ? PlanPolicy() : policy)
        try fixture.replace("/new", "ext4", "8:49")
        let change = plan.relevantChange(in: fixture.inventory.mounts, policy: policy)
        #expect(change == expected.map { "\($0) (ext4 on /dev/8:49) became writable" })
    }

    @Test func whatIsExcludedByItsMountPointIsNoLongerWhenItIsMountedElsewhere() throws {
        var fixture = try StorageFixture.everything()
        let policy = PlanPolicy(exclude: [try FilesystemSelector(parsing: "/images/*")])
        let plan = try fixture.plan(policy)
        // A part of the filesystem, and the whole filesystem.
        try fixture.mount("/elsewhere", "ext4", "7:0", root: "/part")
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) == nil)
        try fixture.mount("/elsewhere", "ext4", "7:0")
        let change = plan.relevantChange(in: fixture.inventory.mounts, policy: policy)
        #expect(change == "/images/outer (ext4 on /dev/7:0) was mounted in a place that is not excluded")
    }

    @Test func aNewBindMountBelowAPatternExcludesNothing() throws {
        var fixture = try StorageFixture.everything()
        let policy = PlanPolicy(exclude: [try FilesystemSelector(parsing: "/pods/*")])
        let plan = try fixture.plan(policy)
        try fixture.mount("/pods/part", "ext4", "8:49", root: "/part")
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) == nil)
        try fixture.mount("/all", "ext4", "8:49")
        let change = plan.relevantChange(in: fixture.inventory.mounts, policy: policy)
        #expect(change == "/pods/part (ext4 on /dev/8:49) was mounted")
    }
}

extension StorageFixture {
    mutating func remove(_ mountPoint: FilePath) {
        inventory.mounts.removeAll { $0.mountPoint == mountPoint }
    }

    /// Puts a mount with the same id in another's place.
    fileprivate mutating func replace(
        _ mountPoint: FilePath, _ type: String, _ device: String, options: String = "rw", superblock: String = "rw"
    ) throws {
        let index = try #require(inventory.mounts.firstIndex { $0.mountPoint == mountPoint })
        let old = inventory.mounts[index]
        inventory.mounts[index] = MountEntry(
            mountID: old.mountID, parentID: old.parentID, device: try #require(DeviceNumber(device)),
            root: old.root,
            mountPoint: mountPoint, mountOptions: options, filesystemType: type, source: old.source,
            superblockOptions: SuperblockOptions(superblock.utf8))
    }
}
