import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// Real mounts in a namespace of the test's own. Nothing is frozen.
@Suite(.serialized, .needsRoot(toTest: "real mounts"))
struct RealMountTests {
    /// Includes only what the test mounted.
    private static func policy(_ namespace: PrivateNamespace) throws -> PlanPolicy {
        PlanPolicy(include: [try FilesystemSelector(parsing: "\(namespace.root)/**")])
    }

    @Test func loopInLoopIsOrderedOpenedAndWatched() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                """
                mkdir outer inner; truncate -s 32M outer.img; mkfs.ext4 -q -L outer outer.img
                mount -o loop outer.img outer
                truncate -s 16M outer/inner.img; mkfs.ext4 -q -L inner outer/inner.img
                mount -o loop outer/inner.img inner
                """)
            let policy = try RealMountTests.policy(namespace)
            let watch = try MountTableWatch(PrivateNamespace.table)
            let inventory = try StorageInventory.survey(mounts: watch.read())
            let plan = try FreezePlan.make(from: inventory, policy: policy)
            let outer = namespace.root.appending("outer")
            let inner = namespace.root.appending("inner")
            #expect(plan.steps.map { $0.map(\.mountPoint) } == [[inner], [outer]])
            #expect(plan.filesystems(.freeze).map(\.identity.label) == ["inner", "outer"])

            let targets = try TargetOpener().open(plan)
            #expect(targets.map(\.filesystem.mountPoint) == [inner, outer])
            TargetOpener.close(targets)

            #expect(!watch.hasChanged())
            try namespace.shell("mkdir other; mount -t tmpfs none other")
            #expect(watch.hasChanged())
            #expect(watch.hasChanged(), "until it is read")
            #expect(plan.relevantChange(in: try watch.read(), policy: policy) == nil, "a tmpfs does not matter")
            #expect(!watch.hasChanged())

            try namespace.shell("umount inner")
            #expect(watch.hasChanged())
            let change = try #require(plan.relevantChange(in: try watch.read(), policy: policy))
            #expect(change.hasPrefix("\(inner) (ext4 on /dev/loop"))
            #expect(change.hasSuffix("was unmounted"))
            let error = #expect(throws: LinuxSystemError.self) { try TargetOpener().open(plan) }
            #expect(error?.code == .unmounted)
            #expect(error?.subject == inner.string)
            try namespace.shell("umount outer")
        }
    }

    @Test func aFilesystemLeftOnlyAsABindMountedFileIsOpenedThroughIt() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                """
                mkdir disk; truncate -s 16M disk.img; mkfs.ext4 -q disk.img; mount -o loop disk.img disk
                touch disk/inside file; mkfifo disk/fifo fifo
                mount --bind disk/fifo fifo; mount --bind disk/inside file; umount disk
                """)
            let watch = try MountTableWatch(PrivateNamespace.table)
            let plan = try FreezePlan.make(
                from: try StorageInventory.survey(mounts: watch.read()),
                policy: try RealMountTests.policy(namespace))
            #expect(plan.filesystems(.freeze).count == 1)
            let targets = try TargetOpener().open(plan)
            let target = try #require(targets.first)
            #expect(try MountPointOpening.mountID(of: target.descriptor) == target.filesystem.mount.mountID)
            TargetOpener.close(targets)
            try namespace.shell("umount file; umount fifo")
        }
    }

    @Test func anOvermountedFilesystemIsReachedThroughItsOtherMount() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                """
                mkdir 'a b' c; truncate -s 16M disk.img; mkfs.ext4 -q disk.img; mount -o loop disk.img 'a b'
                mkdir 'a b/sub'; mount --bind 'a b/sub' c; mount -t tmpfs none 'a b'
                """)
            let watch = try MountTableWatch(PrivateNamespace.table)
            let plan = try FreezePlan.make(
                from: try StorageInventory.survey(mounts: watch.read()),
                policy: try RealMountTests.policy(namespace))
            let targets = try TargetOpener().open(plan)
            #expect(targets.map(\.filesystem.mountPoint) == [namespace.root.appending("c")])
            TargetOpener.close(targets)
            try namespace.shell("umount c; umount 'a b'; umount 'a b'")
        }
    }

    @Test func btrfsSubvolumesAreOneFilesystem() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell("command -v mkfs.btrfs >/dev/null || exit 0; touch have")
            guard SmallFile.read(namespace.root.appending("have")) != nil else { return }
            try namespace.shell(
                """
                mkdir pool sub; truncate -s 128M pool.img; mkfs.btrfs -q pool.img; mount -o loop pool.img pool
                btrfs subvolume create pool/one >/dev/null; mount --bind pool/one sub
                """)
            let watch = try MountTableWatch(PrivateNamespace.table)
            let inventory = try StorageInventory.survey(mounts: watch.read())
            let plan = try FreezePlan.make(from: inventory, policy: try RealMountTests.policy(namespace))
            let pool = try #require(plan.filesystems(.freeze).first)
            #expect(plan.filesystems(.freeze).count == 1)
            #expect(pool.mountPoint == namespace.root.appending("pool"))
            #expect(pool.otherMountPoints == [namespace.root.appending("sub")])
            #expect(pool.identity.uuid != nil)
            // The image is on the tmpfs.
            #expect(
                pool.storedOn
                    == [inventory.mounts.last { $0.mountPoint == namespace.root }?.device].compactMap { $0 })
            TargetOpener.close(try TargetOpener().open(plan))
            try namespace.shell("umount sub; umount pool")
        }
    }
}
