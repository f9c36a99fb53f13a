import FreezeCore
import SystemPackage
import Testing

/// Which of its mounts a filesystem is opened through.
@Suite struct MountChoiceTests {
    @Test func theWholeFilesystemIsPreferredToABindMount() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        try fixture.mount("/a", "ext4", "8:1", root: "/etc/hosts")
        try fixture.mount("/much/deeper", "ext4", "8:1")
        let entry = try #require(try fixture.plan().filesystems(.freeze).first)
        #expect(entry.mountPoint == "/much/deeper")
        #expect(entry.alternatives.map(\.mountPoint) == ["/a"])
    }

    @Test func anOvermountedMountIsNotUsed() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let hidden = try fixture.mount("/data", "ext4", "8:1")
        try fixture.mount("/data", "tmpfs", "0:21", on: hidden.mountID)
        try fixture.mount("/elsewhere", "ext4", "8:1", root: "/sub")
        let entry = try #require(try fixture.plan().filesystems(.freeze).first)
        #expect(entry.mountPoint == "/elsewhere")
        #expect(entry.alternatives == [])
        #expect(entry.otherMountPoints == ["/data"])
    }

    @Test func aHiddenMountIsTheLastResortAndItsCoversAreNamed() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let hidden = try fixture.mount("/a/b", "ext4", "8:1")
        // Mounted later, twice over the root of the hidden mount, and over a directory on the way.
        let lower = try fixture.mount("/a/b", "fuse", "0:21", source: "user", on: hidden.mountID)
        let upper = try fixture.mount("/a/b", "fuse", "0:22", source: "user", on: lower.mountID)
        let above = try fixture.mount("/a", "fuse", "0:23", source: "user")
        try fixture.mount("/a/c", "tmpfs", "0:24", on: above.mountID)
        let entry = try #require(try fixture.plan().filesystems(.freeze).first)
        #expect(entry.mount == hidden && entry.isCovered)
        #expect(entry.reason.hasSuffix("; reached below the mount that covers it"))
        let covers = fixture.inventory.mounts.covers(of: hidden)
        #expect(covers?.first == above)
        #expect(covers?.count == 3 && Set(covers ?? []) == [above, lower, upper])
        try fixture.mount("/elsewhere", "ext4", "8:1", root: "/sub")
        #expect(try !fixture.plan().entry("/elsewhere").isCovered)
    }

    @Test func aMountOnTheRootOfOneThatCanHangIsUsed() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let user = try fixture.mount("/data", "fuse", "0:21", source: "user")
        let data = try fixture.mount("/data", "ext4", "8:1", on: user.mountID)
        let entry = try #require(try fixture.plan().filesystems(.freeze).first)
        #expect(entry.mount == data && !entry.isCovered)
    }

    @Test(arguments: ["nfs4", "fuse.sshfs", "cifs", "9p", "virtiofs"])
    func aMountBelowOneThatCanHangIsNotUsed(_ type: String) throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let remote = try fixture.mount("/remote", type, "0:30", source: "server")
        let middle = try fixture.mount("/remote/middle", "tmpfs", "0:31", source: "tmpfs", on: remote.mountID)
        try fixture.mount("/remote/middle/disk", "ext4", "8:1", on: middle.mountID)
        let error = #expect(throws: PlanError.self) { try fixture.plan() }
        #expect(error?.code == .unreachable)
        #expect(error?.subject == "/remote/middle/disk")
        try fixture.mount("/disk", "ext4", "8:1", root: "/part")
        #expect(try fixture.plan().filesystems(.freeze).map(\.mountPoint) == ["/disk"])
    }

    @Test func anAutomountedFilesystemIsMarkedAndOnlyALastResort() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let trigger = try fixture.mount("/efi", "autofs", "0:30", source: "systemd-1")
        try fixture.mount("/efi", "vfat", "8:1", on: trigger.mountID)
        let synced = try #require(try fixture.plan().filesystems(.sync).first)
        #expect(synced.isBelowAutomount)
        try fixture.mount("/long/way/round", "vfat", "8:1", root: "/EFI")
        let better = try #require(try fixture.plan().filesystems(.sync).first)
        #expect(better.mountPoint == "/long/way/round")
        #expect(!better.isBelowAutomount)
    }

    @Test func anUnreachableEFISystemPartitionDoesNotFailTheRequest() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:9")
        let remote = try fixture.mount("/boot", "nfs", "0:21", source: "server:/boot")
        try fixture.mount("/boot/efi", "vfat", "8:1", on: remote.mountID)
        #expect(throws: PlanError.self) { try fixture.plan() }
        try fixture.identify("8:1", FilesystemIdentity(partitionType: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"))
        #expect(try fixture.plan().entry("/boot/efi").action == .skip)
    }

    @Test func anAutomountedMountIsNoAlternativeToAPlainOne() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        let trigger = try fixture.mount("/auto", "autofs", "0:30", source: "systemd-1")
        try fixture.mount("/auto", "ext4", "8:1", on: trigger.mountID)
        try fixture.mount("/file", "ext4", "8:1", root: "/file")
        let entry = try #require(try fixture.plan().filesystems(.freeze).first)
        #expect(entry.mountPoint == "/file")
        #expect(entry.alternatives == [])
    }

    @Test func anExcludedUnreachableFilesystemIsNoError() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:9")
        let remote = try fixture.mount("/remote", "nfs", "0:30", source: "server")
        try fixture.mount("/remote/disk", "ext4", "8:1", on: remote.mountID)
        let policy = PlanPolicy(exclude: [try FilesystemSelector(parsing: "/remote/**")])
        #expect(try fixture.plan(policy).entry("/remote/disk").action == .skip)
    }

    @Test(arguments: [
        ("/srv/images/a.img", "/srv"), ("/srvx/a.img", "/"), ("/srv", "/srv"), ("/srv/loop/b.img", "/srv/loop"),
    ])
    func aFileIsFoundByTheLongestMountPoint(_ file: String, _ expected: String) throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/srv/loop", "ext4", "8:3")
        try fixture.mount("/srv", "ext4", "8:2")
        #expect(
            MountIndex(fixture.inventory.mounts).mount(holding: FilePath(file))?.mountPoint == FilePath(expected))
    }

    @Test func thousandsOfBindMountsAreOneFilesystem() throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "tmpfs", "0:20")
        for index in 1...5000 {
            try fixture.mount(
                FilePath("/very/long/way/down/to/\(index)"), "ext4", "8:1", root: FilePath("/\(index)"))
        }
        let plan = try fixture.plan()
        #expect(plan.filesystems(.freeze).first?.otherMountPoints.count == 4999)
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: PlanPolicy()) == nil)
    }
}
