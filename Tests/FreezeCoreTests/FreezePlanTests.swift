import FreezeCore
import SystemPackage
import Testing

@Suite struct FreezePlanTests {
    struct Expectation: CustomTestStringConvertible, Sendable {
        let mountPoint: FilePath
        let action: FilesystemAction
        let step: Int?
        let reason: String
        var testDescription: String { "\(mountPoint): \(action)" }

        init(_ mountPoint: FilePath, _ action: FilesystemAction, step: Int? = nil, _ reason: String) {
            self.mountPoint = mountPoint
            self.action = action
            self.step = step
            self.reason = reason
        }
    }

    @Test(arguments: [
        Expectation("/", .freeze, step: 0, "writable ext4"),
        Expectation("/srv", .freeze, step: 2, "writable xfs"),
        Expectation("/home", .freeze, step: 0, "writable btrfs"),
        Expectation("/images/outer", .freeze, step: 1, "writable ext4"),
        Expectation("/images/inner", .freeze, step: 0, "writable xfs"),
        Expectation("/boot/efi", .sync, "EFI system partition: vfat has no freeze, flushed only"),
        Expectation("/media/stick one", .sync, "the kernel has no freeze for vfat: flushed only"),
        Expectation("/odd", .sync, "weirdfs is not known to have a freeze: flushed only"),
        Expectation("/var/lib/docker/overlay2/x/merged", .skip, "a layer: its files are on /"),
        Expectation("/proc", .skip, "no files on a disk"),
        Expectation("/tmp", .skip, "in memory only"),
        Expectation("/net", .skip, "network filesystem: it is not on this machine's disks"),
        Expectation("/gvfs", .skip, "FUSE filesystem: it could hang the freeze"),
        Expectation("/auto", .skip, "automount trigger, holds no files itself"),
        Expectation("/cdrom", .skip, "read-only: nothing can change on it"),
    ])
    func everyFilesystemGetsAnActionAndAReason(_ expected: Expectation) throws {
        let entry = try StorageFixture.everything().plan().entry(expected.mountPoint)
        #expect(entry.action == expected.action)
        #expect(entry.step == expected.step)
        #expect(entry.reason == expected.reason)
    }

    @Test func oneEntryPerSuperblock() throws {
        let plan = try StorageFixture.everything().plan()
        #expect(Set(plan.filesystems.map(\.device)).count == plan.filesystems.count)
        #expect(plan.filesystems.count == 15)
        #expect(try plan.entry("/home").otherMountPoints == ["/snapshots"])
        #expect(try plan.entry("/srv").otherMountPoints == ["/srv/public"])
    }

    @Test func entriesComeInFreezeOrder() throws {
        let plan = try StorageFixture.everything().plan()
        #expect(
            plan.steps.map { $0.map(\.mountPoint) } == [
                ["/", "/home", "/images/inner"], ["/images/outer"], ["/srv"],
            ])
        #expect(plan.filesystems.prefix(5).map(\.action) == Array(repeating: .freeze, count: 5))
        #expect(plan.filesystems.last?.action == .skip)
    }

    @Test func onlyTheEFISystemPartitionIsHarmless() throws {
        let plan = try StorageFixture.everything().plan()
        #expect(plan.filesystems.filter(\.isHarmless).map(\.mountPoint) == ["/boot/efi"])
    }

    @Test func readOnlyBindMountOfAWritableSuperblockIsFrozen() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        try fixture.mount("/public", "ext4", "8:1", root: "/public", options: "ro,relatime")
        #expect(try fixture.plan().entry("/public").action == .freeze)
    }

    @Test func zfsCountsAsUnfreezableAlthoughItHasNoBlockDevice() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/tank", "zfs", "0:50", source: "tank/data")
        #expect(try fixture.plan().entry("/tank").action == .sync)
    }

    @Test(arguments: ["fuseblk", "fuseblk.ntfs-3g"])
    func whatAProcessServesFromADiskIsFlushedThroughTheDisk(_ type: String) throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        let mount = try fixture.mount("/ntfs", type, "8:17")
        // A hidden mount cannot be opened, and need not be opened.
        try fixture.mount("/ntfs", "tmpfs", "0:70", source: "tmpfs", on: mount.mountID)
        let entry = try #require(try fixture.plan().filesystems(.sync).first)
        #expect(entry.mountPoint == "/ntfs" && entry.isFlushedThroughDevice && entry.lowersLevel)
        #expect(entry.reason == "a process serves it, which cannot be frozen: only its device is flushed")
        let error = #expect(throws: PlanError.self) { try fixture.plan(PlanPolicy(unfreezable: .fail)) }
        #expect(error?.code == .unfreezable && error?.subject == "/ntfs")
    }

    @Test func whatAProcessServesFromAReadOnlyDiskIsLeftAlone() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/ntfs", "fuseblk", "8:17", superblock: "ro,user_id=0")
        let entry = try fixture.plan(PlanPolicy(unfreezable: .fail)).entry("/ntfs")
        #expect(entry.action == .skip && entry.reason == "read-only: nothing can change on it")
    }

    /// A machine with an ecryptfs and the lower files on /home.
    private func layered(on type: String = "ext4") throws -> StorageFixture {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/home", type, "8:2")
        try fixture.mount("/home/user/Private", "ecryptfs", "0:50", source: "/home/user/.Private", on: 2)
        try fixture.store("0:50", on: "8:2")
        return fixture
    }

    @Test func aLayerThatHoldsDataBackIsFlushedAndLowersTheLevel() throws {
        let entry = try layered().plan().entry("/home/user/Private")
        #expect(entry.action == .sync && entry.lowersLevel && !entry.isFlushedThroughDevice)
        #expect(entry.reason == "ecryptfs holds data back and has no freeze: flushed only")
        #expect(throws: PlanError.self) { try layered().plan(PlanPolicy(unfreezable: .fail)) }
    }

    @Test func aLayerGoesWithTheFilesystemThatHoldsItsFiles() throws {
        let home = PlanPolicy(include: [try FilesystemSelector(parsing: "/home")])
        #expect(try layered().plan(home).entry("/home/user/Private").action == .sync)
        for policy in [
            PlanPolicy(exclude: home.include), PlanPolicy(include: [try FilesystemSelector(parsing: "/")]),
            PlanPolicy(exclude: [try FilesystemSelector(parsing: "fstype:ecryptfs")]),
        ] {
            #expect(try layered().plan(policy).entry("/home/user/Private").action == .skip)
        }
        // An open may hang on the server.
        #expect(try layered(on: "nfs4").plan().entry("/home/user/Private").action == .skip)
    }

    @Test func unfreezableFailNamesTheFilesystem() throws {
        let error = #expect(throws: PlanError.self) {
            try StorageFixture.everything().plan(PlanPolicy(unfreezable: .fail))
        }
        #expect(error?.code == .unfreezable)
        #expect(error?.subject == "/media/stick\\040one")
    }

    @Test func unfreezableFailAllowsTheEFISystemPartition() throws {
        let exclude = try ["/media/*", "fstype:weirdfs"].map { try FilesystemSelector(parsing: $0) }
        let plan = try StorageFixture.everything().plan(PlanPolicy(exclude: exclude, unfreezable: .fail))
        #expect(plan.filesystems(.sync).map(\.mountPoint) == ["/boot/efi"])
    }

    @Test func nothingToFreezeIsTold() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let plan = try fixture.plan()
        let error = #expect(throws: PlanError.self) { try plan.requireSomethingToFreeze() }
        #expect(error?.code == .nothingToFreeze)
        #expect(throws: Never.self) { try StorageFixture.everything().plan().requireSomethingToFreeze() }
    }
}

@Suite struct PlanPolicyTests {
    private func frozen(include: [String] = [], exclude: [String] = []) throws -> [FilePath] {
        try StorageFixture.everything().plan(
            PlanPolicy(
                include: try include.map { try FilesystemSelector(parsing: $0) },
                exclude: try exclude.map { try FilesystemSelector(parsing: $0) })
        ).filesystems(.freeze).map(\.mountPoint)
    }

    @Test func includeLimitsAndExcludeWins() throws {
        #expect(try frozen(include: ["/images/*"]) == ["/images/inner", "/images/outer"])
        #expect(try frozen(include: ["/images/*"], exclude: ["/images/inner"]) == ["/images/outer"])
    }

    @Test func anyMountPointOfASuperblockSelectsIt() throws {
        #expect(try frozen(include: ["/srv/public"]) == ["/srv"])
        #expect(try frozen(include: ["/snapshots"]) == ["/home"])
    }

    @Test(arguments: ["UUID=5a7b-22", "LABEL=my data", "/dev/8:2", "/srv/"])
    func everySelectorSelects(_ text: String) throws {
        #expect(try frozen(include: [text]) == ["/srv"])
    }

    @Test func theReasonNamesTheSelector() throws {
        let exclude = try FilesystemSelector(parsing: "UUID=5A7B-22")
        let plan = try StorageFixture.everything().plan(PlanPolicy(exclude: [exclude]))
        #expect(try plan.entry("/srv").reason == "excluded by UUID=5a7b-22")
        let narrow = try StorageFixture.everything().plan(PlanPolicy(include: [exclude]))
        #expect(try narrow.entry("/").reason == "not in include")
        #expect(try narrow.entry("/proc").reason == "no files on a disk")
    }

    @Test(arguments: ["UUID=dead-beef", "LABEL=nobody", "/dev/sdz1", "/mnt/usb"])
    func anIncludeThatNamesAMissingThingFails(_ text: String) throws {
        let error = #expect(throws: PlanError.self) { try frozen(include: ["/", text]) }
        #expect(error?.code == .notMounted)
        #expect(error?.subject == text)
    }

    @Test func aPatternThatMatchesNothingIsOnlyNoted() throws {
        let include = try ["/", "/mnt/*"].map { try FilesystemSelector(parsing: $0) }
        let plan = try StorageFixture.everything().plan(PlanPolicy(include: include))
        #expect(plan.notes == ["/mnt/* in [filesystems] include matches no filesystem that is frozen or flushed."])
    }

    @Test(arguments: [
        ("/gvfs", "FUSE filesystem: it could hang the freeze"), ("/tmp", "in memory only"),
        ("/cdrom", "read-only: nothing can change on it"), ("/snapshots", "excluded by /home, /snapshots"),
    ])
    func whatIsLeftAloneSatisfiesNoInclude(_ text: String, _ reason: String) throws {
        let error = #expect(throws: PlanError.self) {
            try frozen(include: ["/", text], exclude: ["/home", "/snapshots"])
        }
        #expect(error?.code == .notMounted)
        #expect(error?.subject == text)
        #expect(error?.problem.hasSuffix("is skipped: \(reason)") == true, "\(error?.problem ?? "")")
    }

    @Test(arguments: ["fuse.sshfs", "overlay", "tmpfs", "nfs4"])
    func aSourceThatUsersChooseNamesNoDevice(_ type: String) throws {
        var fixture = try StorageFixture.everything()
        try fixture.mount("/home/user/x", type, "0:99", source: "/dev/sdz1")
        let selector = try FilesystemSelector(parsing: "/dev/sdz1")
        #expect(throws: PlanError.self) { try fixture.plan(PlanPolicy(include: [selector])) }
        let note = "/dev/sdz1 in [filesystems] exclude matches no mounted filesystem."
        #expect(try fixture.plan(PlanPolicy(exclude: [selector])).notes == [note])
    }

    @Test func aDeviceIsNamedByTheKernelRatherThanByTheMountTable() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1", source: "/dev/was-called")
        fixture.inventory.devicePaths[DeviceNumber(major: 8, minor: 1)] = ["/dev/sda1", "/dev/disk/by-id/x"]
        for (text, isNamed) in [("/dev/sda1", true), ("/dev/disk/by-id/*", true), ("/dev/was-called", false)] {
            let policy = PlanPolicy(exclude: [try FilesystemSelector(parsing: text)])
            #expect(try fixture.plan(policy).entry("/").action == (isNamed ? .skip : .freeze), "\(text)")
        }
    }
}

/// Exclusion of a filesystem by mount points.
@Suite struct MountPointExclusionTests {
    private func plan(_ fixture: StorageFixture, _ exclude: String...) throws -> FreezePlan {
        try fixture.plan(PlanPolicy(exclude: try exclude.map { try FilesystemSelector(parsing: $0) }))
    }

    /// The root, a disk, and the mounts of pods.
    private func pods() throws -> StorageFixture {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/srv/pods/a", "ext4", "8:1", root: "/var/pods/a")
        try fixture.mount("/srv/pods/b", "xfs", "8:2")
        try fixture.mount("/srv/pods/b/part", "xfs", "8:2", root: "/part")
        return fixture
    }

    @Test func aBindMountBelowThePatternDropsNothing() throws {
        let plan = try plan(pods(), "/srv/pods/**")
        #expect(plan.filesystems(.freeze).map(\.mountPoint) == ["/"])
        #expect(try plan.entry("/srv/pods/b").reason == "excluded by /srv/pods/**")
        #expect(
            plan.notes == [
                "/srv/pods/** in [filesystems] exclude matches /srv/pods/a, but not /, where the same filesystem (ext4 "
                    + "on /dev/8:1) is mounted: it is not excluded. Exclude it by UUID=, or by all of its mount points."
            ])
    }

    @Test func nothingIsNotedOfWhatIsExcludedOrSkippedAnyway() throws {
        #expect(try plan(pods(), "/srv/pods/**", "/").notes == [])
        #expect(try plan(pods(), "/srv/pods/b").notes == [])
        var fixture = try pods()
        try fixture.mount("/proc", "proc", "0:20", source: "proc")
        try fixture.mount("/srv/pods/proc", "proc", "0:20", source: "proc", root: "/sys")
        #expect(try plan(fixture, "/srv/pods/**", "UUID=x", "/").notes.count == 1, "UUID=x matches nothing")
    }

    @Test func aBindMountOfAllOfItBelowThePatternDropsNothing() throws {
        var fixture = try pods()
        try fixture.mount("/srv/pods/all", "ext4", "8:1")
        #expect(try plan(fixture, "/srv/pods/**").entry("/").action == .freeze)
        #expect(try plan(fixture, "/srv/pods/*", "/").entry("/").action == .skip)
    }

    @Test func theMountThatShowsAllOfItIsEnough() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/data", "xfs", "8:2")
        try fixture.mount("/srv/ftp", "xfs", "8:2", root: "/public")
        #expect(try plan(fixture, "/data").entry("/data").reason == "excluded by /data")
        #expect(try plan(fixture, "/srv/ftp").entry("/data").action == .freeze)
    }

    /// Subvolumes, and the top level where wanted.
    private func btrfs(topLevel: String? = nil) throws -> StorageFixture {
        var fixture = StorageFixture()
        for (point, number, name) in [("/", 256, "/@"), ("/home", 257, "/@home")] {
            try fixture.mount(
                FilePath(point), "btrfs", "0:30", source: "/dev/sda1", root: FilePath(name),
                superblock: "rw,ssd,subvolid=\(number),subvol=\(name)")
        }
        if let topLevel {
            try fixture.mount(
                "/top", "btrfs", "0:30", source: "/dev/sda1", superblock: "rw,ssd,\(topLevel),subvol=/")
        }
        try fixture.mount("/other", "xfs", "8:2")
        return fixture
    }

    @Test func aSubvolumeIsNotTheFilesystem() throws {
        for pattern in ["/home", "/"] {
            let plan = try plan(btrfs(), pattern)
            #expect(plan.filesystems(.freeze).map(\.mountPoint) == ["/", "/other"])
            #expect(plan.notes.count == 1)
        }
        for patterns in [["/home", "/"], ["/**"]] {
            let policy = PlanPolicy(exclude: try patterns.map { try FilesystemSelector(parsing: $0) })
            let filesystem = try btrfs().plan(policy).filesystems.first { $0.mount.filesystemType == "btrfs" }
            #expect(filesystem?.action == .skip)
        }
    }

    @Test func theTopLevelOfABtrfsIsTheFilesystem() throws {
        #expect(try plan(btrfs(topLevel: "subvolid=5"), "/top").entry("/top").action == .skip)
        // Old kernels show the default subvolume as / too.
        let plan = try plan(btrfs(topLevel: "subvolid=300"), "/top")
        #expect(plan.filesystems(.freeze).contains { $0.device.minor == 30 } && plan.notes.count == 1)
    }

    @Test func aContainersMountOfAllOfItCountsWhereThereIsNoneHere() throws {
        let container = MountNamespace(inode: 4_026_532_100, processID: 1234, command: "sh")
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/srv/pods/b", "xfs", "8:2", root: "/part")
        let root = try fixture.mount("/", "overlay", "0:60", source: "overlay", on: 999, in: container)
        try fixture.mount("/vol", "xfs", "8:2", on: root.mountID, in: container)
        let plan = try plan(fixture, "/srv/pods/**")
        #expect(plan.filesystems(.freeze).contains { $0.device == DeviceNumber(major: 8, minor: 2) })
        #expect(plan.notes.first?.contains("but not /vol in the mount namespace of process 1234 (sh)") == true)
    }
}
