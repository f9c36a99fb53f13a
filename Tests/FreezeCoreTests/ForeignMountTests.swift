import FreezeCore
import SystemPackage
import Testing

/// Filesystems that are mounted in other mount namespaces.
@Suite struct ForeignMountTests {
    private let container = MountNamespace(inode: 4_026_532_100, processID: 1234, command: "post\ngres")
    private let other = MountNamespace(inode: 4_026_532_200, processID: 99, command: "sh")

    /// A machine with a container: its root is an overlay, /etc/hosts is a file of the machine's root.
    private func fixture() throws -> (StorageFixture, root: UInt64) {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/srv", "xfs", "8:2")
        let root = try fixture.mount("/", "overlay", "0:60", source: "overlay", on: 999, in: container)
        try fixture.mount("/etc/hosts", "ext4", "8:1", root: "/var/hosts", on: root.mountID, in: container)
        try fixture.mount("/proc", "proc", "0:61", source: "proc", on: root.mountID, in: container)
        try fixture.mount("/tmp", "tmpfs", "0:62", source: "tmpfs", on: root.mountID, in: container)
        return (fixture, root.mountID)
    }

    @Test func aFilesystemOfAContainerIsFrozenAndSaidWhere() throws {
        var (fixture, root) = try fixture()
        try fixture.mount("/data", "xfs", "8:9", on: root, in: container)
        let plan = try fixture.plan()
        #expect(plan.filesystems.map(\.mountPoint) == ["/", "/data", "/srv"], "nothing else of the container's")
        let entry = try plan.entry("/data")
        #expect(entry.action == .freeze && entry.mount.namespace == container)
        #expect(
            entry.reason == "writable xfs; mounted only in the mount namespace of process 1234 (post\\012gres)")
    }

    @Test func whatAContainerCallsOurFilesystemsDoesNotNameThem() throws {
        var (fixture, root) = try fixture()
        try fixture.mount("/data", "xfs", "8:9", on: root, in: container)
        #expect(try fixture.plan().entry("/").otherMountPoints == [])
        let exclude = PlanPolicy(exclude: [try FilesystemSelector(parsing: "/etc/**")])
        #expect(try fixture.plan(exclude).entry("/").action == .freeze)
    }

    @Test func includeAndExcludeMatchThePathInside() throws {
        var (fixture, root) = try fixture()
        try fixture.mount("/data", "xfs", "8:9", on: root, in: container)
        let selector = try FilesystemSelector(parsing: "/dat?")
        #expect(try fixture.plan(PlanPolicy(exclude: [selector])).entry("/data").action == .skip)
        let only = try fixture.plan(PlanPolicy(include: [selector]))
        #expect(only.filesystems(.freeze).map(\.mountPoint) == ["/data"])
        #expect(try only.entry("/data").reason.contains("included by /dat?; mounted only in the mount namespace"))
    }

    @Test func otherMountPointsAreThoseOfItsNamespace() throws {
        var (fixture, root) = try fixture()
        try fixture.mount("/data", "xfs", "8:9", on: root, in: container)
        try fixture.mount("/data/sub", "xfs", "8:9", root: "/x", on: root, in: container)
        let otherRoot = try fixture.mount("/", "ext4", "8:1", on: 998, in: other)
        try fixture.mount("/elsewhere", "xfs", "8:9", on: otherRoot.mountID, in: other)
        #expect(try fixture.plan().entry("/data").otherMountPoints == ["/data/sub"])
    }

    @Test(arguments: ["nfs4", "fuse.fuse-overlayfs"])
    func belowARootThatCanHangNothingIsOpened(_ type: String) throws {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        let root = try fixture.mount("/", type, "0:60", source: "server:/", on: 999, in: container)
        try fixture.mount("/data", "xfs", "8:9", on: root.mountID, in: container)
        let error = #expect(throws: PlanError.self) { try fixture.plan() }
        #expect(error?.code == .unreachable)
        #expect(error?.subject == "/data in the mount namespace of process 1234 (post\\012gres)")
        // Where another namespace shows it too, that one is taken.
        let otherRoot = try fixture.mount("/", "ext4", "8:1", on: 998, in: other)
        try fixture.mount("/vol", "xfs", "8:9", on: otherRoot.mountID, in: other)
        #expect(try fixture.plan().entry("/vol").mount.namespace == other)
    }

    @Test func belowARootThatIsNoMountPointNothingIsOpened() throws {
        // A process in a chroot: what its root is on is not in its table.
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/data", "xfs", "8:9", on: 999, in: container)
        let error = #expect(throws: PlanError.self) { try fixture.plan() }
        #expect(error?.code == .unreachable)
    }

    @Test func oneThatIsHiddenHereIsReachedThere() throws {
        var (fixture, root) = try fixture()
        let hidden = try fixture.mount("/data", "xfs", "8:9")
        try fixture.mount("/data", "tmpfs", "0:70", source: "tmpfs", on: hidden.mountID)
        try fixture.mount("/vol", "xfs", "8:9", on: root, in: container)
        let entry = try fixture.plan().entry("/vol")
        #expect(entry.mount.namespace == container)
        #expect(entry.reason.contains("; reached through the mount namespace of process 1234"))
        #expect(entry.otherMountPoints == ["/data"])
    }

    @Test func whatChangesInAContainerIsNamed() throws {
        var (fixture, root) = try fixture()
        let before = try fixture.plan()
        try fixture.mount("/data", "xfs", "8:9", on: root, in: container)
        let plan = try fixture.plan()
        let name = "/data in the mount namespace of process 1234 (post\\012gres) (xfs on /dev/8:9)"
        let policy = PlanPolicy()
        #expect(before.relevantChange(in: fixture.inventory.mounts, policy: policy) == "\(name) was mounted")
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) == nil)
        try fixture.mount("/also/here", "xfs", "8:9")
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) == nil)
        let without = fixture.inventory.mounts.filter { $0.mountPoint != "/data" }
        #expect(plan.relevantChange(in: without, policy: policy) == "\(name) was unmounted")
        let tmpfs = try fixture.mount("/more", "tmpfs", "0:90", source: "tmpfs", on: root, in: container)
        #expect(tmpfs.namespace == container)
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) == nil)
    }

    @Test func aPlanThatDoesNotKnowEverythingIsShownButNotCarriedOut() throws {
        var (fixture, _) = try fixture()
        #expect(throws: Never.self) { try fixture.plan().requireComplete() }
        fixture.inventory.unseen = ["There are 3 more."]
        let plan = try fixture.plan()
        #expect(plan.notes == ["There are 3 more."])
        let error = #expect(throws: PlanError.self) { try plan.requireComplete() }
        #expect(error?.code == .incomplete)
        #expect(error?.description.contains("There are 3 more. If the others") == true)
    }
}
