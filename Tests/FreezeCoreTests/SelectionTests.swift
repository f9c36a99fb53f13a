import FreezeCore
import SystemPackage
import Testing

/// The plan of a request that selects filesystems.
struct SelectionTests {
    private static func policy(_ mountPoints: FilePath...) -> PlanPolicy {
        var policy = PlanPolicy()
        policy.selection = mountPoints
        return policy
    }

    @Test func `only the selected filesystems are frozen, by any of their mount points`() throws {
        let plan = try StorageFixture.everything().plan(Self.policy("/srv/public", "/images/inner"))
        #expect(plan.filesystems(.freeze).map(\.mountPoint) == ["/images/inner", "/srv"])
        #expect(plan.filesystems(.sync).isEmpty)
        #expect(try plan.entry("/home").reason == "not selected by the request")
    }

    @Test func `a selection is no filesystem left out by the configuration`() throws {
        let plan = try StorageFixture.everything().plan(Self.policy("/srv"))
        #expect(plan.leftOut.isEmpty)
        #expect(plan.notes.isEmpty && plan.unreachable.isEmpty)
    }

    @Test(arguments: [
        ("/no/such", "/no/such: is selected, but is no mount point."),
        ("/tmp", "/tmp: is selected, but is skipped: in memory only."),
        ("/cdrom", "/cdrom: is selected, but is skipped: read-only: nothing can change on it."),
    ])
    func `P2 a selected mount point without a filesystem to freeze fails the plan`(
        mountPoint: FilePath, problem: String
    ) throws {
        let error = #expect(throws: PlanError.self) {
            try StorageFixture.everything().plan(Self.policy("/srv", mountPoint))
        }
        #expect(error?.description.hasPrefix(problem) == true, "\(String(describing: error))")
    }

    @Test func `P2 a mount point of a container's namespace is not selected`() throws {
        var fixture = try StorageFixture.everything()
        let container = MountNamespace(inode: 4026532001, processID: 1234, command: "postgres")
        try fixture.mount("/data", "ext4", "8:49", in: container)
        let error = #expect(throws: PlanError.self) { try fixture.plan(Self.policy("/data")) }
        #expect(
            error?.description.hasPrefix("/data: is selected, but is no mount point.") == true,
            "\(String(describing: error))")
    }

    @Test func `P2 exclude wins over a selection`() throws {
        var policy = Self.policy("/srv")
        policy.exclude = [try FilesystemSelector(parsing: "/srv"), try FilesystemSelector(parsing: "/srv/public")]
        let error = #expect(throws: PlanError.self) { try StorageFixture.everything().plan(policy) }
        #expect(error?.problem.hasPrefix("is selected, but is skipped: excluded by ") == true)
    }

    @Test func `a filesystem that is not selected may be mounted while the request runs`() throws {
        var fixture = try StorageFixture.everything()
        let policy = Self.policy("/srv")
        let plan = try fixture.plan(policy)
        try fixture.mount("/new", "ext4", "8:49")
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) == nil)
        fixture.remove("/srv")
        #expect(plan.relevantChange(in: fixture.inventory.mounts, policy: policy) != nil)
    }
}
