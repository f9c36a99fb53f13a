import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// Real mount namespaces of real processes. Nothing is frozen, and only what the test mounted is opened.
@Suite(.serialized, .needsRoot(toTest: "other mount namespaces"))
struct RealMountNamespaceTests {
    private static func end(_ process: pid_t) throws {
        kill(process, SIGKILL)
        let deadline = ContinuousClock.now + .seconds(10)
        // It is a child of a shell that has ended, so its end is told by /proc only.
        while try ProcessRecord.read(process)?.isAlive == true, ContinuousClock.now < deadline { usleep(1000) }
        #expect(try ProcessRecord.read(process)?.isAlive != true)
    }

    private static let image = "truncate -s 16M disk.img; mkfs.ext4 -q -L contained disk.img"

    @Test func aFilesystemOfAContainerIsFoundOpenedAndLetGo() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(Self.image)
            let root = namespace.root
            let process = try namespace.container("mkdir disk; mount -o loop disk.img disk")
            let policy = PlanPolicy(include: [try FilesystemSelector(parsing: "LABEL=contained")])
            let tables = try MountTables(.all)
            let plan = try FreezePlan.make(from: try StorageInventory.survey(tables), policy: policy)
            let disk = try #require(plan.filesystems(.freeze).first)
            #expect(disk.mountPoint == root.appending("disk"))
            #expect(disk.mount.namespace?.processID == process)
            #expect(disk.mount.namespace?.command == "sleep")

            let targets = try TargetOpener(tables).open(plan)
            #expect(targets.count == 1)
            #expect(
                try targets.map { try MountPointOpening.mountID(of: $0.descriptor) } == [disk.mount.mountID])
            TargetOpener.close(targets)

            // By the same path in our own namespace there is only an empty directory.
            let ours = FreezePlan(filesystems: [disk.inOurNamespace])
            #expect(throws: LinuxSystemError.self) { try TargetOpener(tables).open(ours) }

            #expect(!tables.hasChanged())
            #expect(plan.relevantChange(in: try tables.read(), policy: policy) == nil)
            try namespace.shell("nsenter --target \(process) --mount umount \(root)/disk")
            #expect(tables.hasChanged())
            let change = try #require(plan.relevantChange(in: try tables.read(), policy: policy))
            #expect(change.contains("in the mount namespace of process \(process) (sleep)"))
            #expect(change.hasSuffix("was unmounted"))
            let error = #expect(throws: LinuxSystemError.self) { try TargetOpener(tables).open(plan) }
            #expect(error?.code == .unmounted)
            try Self.end(process)
            tables.close()
        }
    }

    @Test func whatAUserMountsInANamespaceOfHisOwnIsNoReasonToReadTables() throws {
        try PrivateNamespace.run { namespace in
            let users = try namespace.container("", options: "--user --map-root-user")
            let roots = try namespace.container("")
            let tables = try MountTables(.all)
            _ = try tables.read()
            for (process, counts) in [(users, false), (roots, true)] {
                try namespace.shell("nsenter --target \(process) --mount mount -t tmpfs none /mnt")
                #expect(tables.hasChanged() == counts)
                try Self.end(process)
            }
            tables.close()
        }
    }

    @Test func aProcessThatEndsIsNoReasonToOpenSomethingElse() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(Self.image)
            let process = try namespace.container("mkdir disk; mount -o loop disk.img disk")
            let policy = PlanPolicy(include: [try FilesystemSelector(parsing: "LABEL=contained")])
            let tables = try MountTables(.all)
            let plan = try FreezePlan.make(from: try StorageInventory.survey(tables), policy: policy)
            try Self.end(process)
            let error = #expect(throws: LinuxSystemError.self) { try TargetOpener(tables).open(plan) }
            #expect(error?.code == .unmounted, "so that the plan is made again")
            // The open table keeps the namespace: nobody has unmounted anything yet.
            #expect(try tables.read().contains { $0.mountID == plan.filesystems[0].mount.mountID })
            tables.close()
            #expect(try !MountTables(.all).read().contains { $0.namespace?.processID == process })
        }
    }

    @Test func aContainerWithARootOfItsOwnIsLookedUpBelowIt() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(Self.image)
            let process = try namespace.container(
                """
                mkdir new; mount -t tmpfs none new; mkdir new/old new/etc
                for name in bin lib lib64 usr proc; do
                    [ ! -e /$name ] || { mkdir new/$name; mount --rbind /$name new/$name; }
                done
                mount -o loop disk.img new/etc
                exec 3<>ready; cd new; pivot_root . old; echo >&3; umount -l old; exec sleep 1000
                """)
            let policy = PlanPolicy(include: [try FilesystemSelector(parsing: "LABEL=contained")])
            let tables = try MountTables(.all)
            let plan = try FreezePlan.make(from: try StorageInventory.survey(tables), policy: policy)
            #expect(plan.filesystems(.freeze).map(\.mountPoint) == ["/etc"])
            let targets = try TargetOpener(tables).open(plan)
            #expect(
                try targets.map { try MountPointOpening.mountID(of: $0.descriptor) }
                    == plan.filesystems(.freeze).map(\.mount.mountID))
            TargetOpener.close(targets)
            tables.close()
            try Self.end(process)
        }
    }
}

extension PlannedFilesystem {
    /// As if it were mounted in our own namespace.
    fileprivate var inOurNamespace: PlannedFilesystem {
        PlannedFilesystem(
            device: device,
            mount: MountEntry(
                mountID: mount.mountID, parentID: mount.parentID, device: device, root: mount.root,
                mountPoint: mountPoint, mountOptions: "", filesystemType: "ext4", source: "", superblockOptions: ""
            ),
            action: .freeze, reason: "test", step: 0)
    }
}
