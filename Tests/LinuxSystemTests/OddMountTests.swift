import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage
import Testing

@testable import LinuxSystem

/// What real mount tables hold besides plain directories. Nothing is frozen.
@Suite(.serialized, .needsRoot(toTest: "odd mounts"))
struct OddMountTests {
    private static let disk =
        "mkdir disk; truncate -s 16M disk.img; mkfs.ext4 -q -L odd disk.img; mount -o loop disk.img disk"

    private static func plan(
        _ namespace: PrivateNamespace, include: [String] = []
    ) throws -> (plan: FreezePlan, inventory: StorageInventory) {
        let include = include.isEmpty ? ["\(namespace.root)/**"] : include
        let policy = PlanPolicy(include: try include.map { try FilesystemSelector(parsing: $0) })
        let inventory = try StorageInventory.survey(mounts: MountTableWatch(PrivateNamespace.table).read())
        return (try FreezePlan.make(from: inventory, policy: policy), inventory)
    }

    /// The planned mounts are opened, and each is the one that was meant.
    private static func open(_ plan: FreezePlan) throws -> [FilePath] {
        let targets = try TargetOpener().open(plan)
        defer { TargetOpener.close(targets) }
        for target in targets {
            #expect(try MountPointOpening.mountID(of: target.descriptor) == target.filesystem.mount.mountID)
        }
        return targets.map(\.filesystem.mountPoint)
    }

    /// Binds a socket to a name. Paths of sockets are short: relative to the root.
    private static func makeSocket(_ path: FilePath) throws {
        let socket = try FileDescriptor.localSocket(SOCK_STREAM)
        defer { try? socket.close() }
        if let error = try LocalSocketAddress(path: path).bind(socket) { throw error }
    }

    @Test func aFilesystemLeftAsASocketAndAFileIsOpenedThroughTheFile() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell("\(Self.disk); touch disk/file long-name s")
            try Self.makeSocket(namespace.root.appending("disk/socket"))
            try namespace.shell("mount --bind disk/socket s; mount --bind disk/file long-name; umount disk")
            let (plan, _) = try Self.plan(namespace)
            #expect(plan.filesystems(.freeze).map(\.mountPoint) == [namespace.root.appending("s")])
            #expect(try Self.open(plan) == [namespace.root.appending("long-name")])
            try namespace.shell("umount long-name")
            let error = #expect(throws: LinuxSystemError.self) { try Self.open(try Self.plan(namespace).plan) }
            #expect(error?.subject == namespace.root.appending("s").string)
            #expect(error?.underlyingError == .noSuchAddressOrDevice)
            try namespace.shell("umount s")
        }
    }

    @Test func aFileThatWasDeletedBehindItsBindMountIsOpened() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                "\(Self.disk); touch disk/file bound; mount --bind disk/file bound; rm disk/file; umount disk")
            let (plan, inventory) = try Self.plan(namespace)
            #expect(inventory.mounts.last?.root == "/file//deleted")
            #expect(try Self.open(plan) == [namespace.root.appending("bound")])
            try namespace.shell("umount bound")
        }
    }

    @Test(arguments: ["a b", "tab\\011newline\\012end", "back\\134slash\\033[31m", "x (deleted)", "\\377\\376"])
    func aMountPointOfAnyNameIsOpened(_ name: String) throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                "\(Self.disk); name=$(printf '\(name)e'); mkdir \"$name\"; mount --move disk \"$name\"")
            let (plan, _) = try Self.plan(namespace)
            #expect(plan.filesystems(.freeze).count == 1)
            #expect(try Self.open(plan).count == 1)
            try namespace.shell("umount \"$(printf '\(name)e')\"")
        }
    }

    @Test func aNamespaceThatIsBoundToAFileIsSkipped() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell("touch net; mount --bind /proc/self/ns/net net; mount -t tmpfs none /mnt")
            let entry = try #require(
                try Self.plan(namespace).plan.filesystems.first {
                    $0.mountPoint == namespace.root.appending("net")
                })
            #expect(entry.action == .skip && entry.reason == "no files on a disk")
            #expect(entry.mount.root.string.hasPrefix("net:["))
            try namespace.shell("umount net")
        }
    }

    @Test func anOverlayIsLeftAloneAndItsUpperLayerIsNot() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                """
                \(Self.disk); mkdir lower disk/upper disk/work merged
                mount -t overlay -o "lowerdir=lower,upperdir=$PWD/disk/upper,workdir=disk/work" none merged
                """)
            let (plan, _) = try Self.plan(namespace)
            let disk = namespace.root.appending("disk")
            let overlay = try #require(
                plan.filesystems.first { $0.mountPoint == namespace.root.appending("merged") })
            #expect(overlay.action == .skip && overlay.reason == "a layer: its files are on \(disk)")
            #expect(try Self.open(plan) == [disk])
            try namespace.shell("umount merged; umount disk")
        }
    }

    @Test func aReadOnlyMountOfAWritableSuperblockIsFrozenAndAReadOnlySuperblockIsNot() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell(
                "\(Self.disk); mkdir disk/sub bound; mount --bind disk/sub bound; mount -o remount,bind,ro bound; umount disk"
            )
            #expect(try Self.open(try Self.plan(namespace).plan) == [namespace.root.appending("bound")])
            try namespace.shell("mount -o remount,ro bound")
            let plan = try Self.plan(namespace).plan
            let entry = try #require(
                plan.filesystems.first { $0.mountPoint == namespace.root.appending("bound") })
            #expect(entry.action == .skip && entry.reason == "read-only: nothing can change on it")
            try namespace.shell("umount bound")
        }
    }

    @Test func whatIsUnmountedLazilyIsNotInThePlan() throws {
        try PrivateNamespace.run { namespace in
            try namespace.shell("\(Self.disk); touch disk/file")
            let held = try FileDescriptor.open(
                namespace.root.appending("disk/file"), .readOnly, options: .closeOnExec)
            try namespace.shell("umount --lazy disk")
            let (plan, _) = try Self.plan(namespace, include: ["\(namespace.root)/**"])
            #expect(plan.filesystems(.freeze) == [])
            try held.close()
        }
    }

    @Test func labelAndUUIDSelectRealFilesystems() throws {
        try PrivateNamespace.run { namespace in
            let uuid = "0fa0d9a2-1111-4c4c-9a9a-0123456789ab"
            try namespace.shell(
                """
                mkdir one two; truncate -s 16M one.img two.img
                mkfs.ext4 -q -L quiesce-one one.img; mkfs.ext4 -q -U \(uuid) two.img
                mount -o loop one.img one; mount -o loop two.img two
                """)
            for (selector, name) in [("LABEL=quiesce-one", "one"), ("UUID=\(uuid.uppercased())", "two")] {
                let plan = try Self.plan(namespace, include: [selector]).plan
                #expect(plan.filesystems(.freeze).map(\.mountPoint) == [namespace.root.appending(name)])
            }
            try namespace.shell("umount one; umount two")
        }
    }
}
