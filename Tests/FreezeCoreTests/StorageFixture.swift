import FreezeCore
import SystemPackage
import Testing

/// Builds inventories for tests from short lines.
struct StorageFixture {
    var inventory = StorageInventory(mounts: [])

    /// Mounts a filesystem; ids count up from 1, and the first mount is the root of the tree.
    @discardableResult
    mutating func mount(
        _ mountPoint: FilePath, _ type: String, _ device: String, source: String? = nil, root: FilePath = "/",
        options: String = "rw", superblock: String = "rw", on parent: UInt64 = 1,
        in namespace: MountNamespace? = nil
    ) throws -> MountEntry {
        let entry = MountEntry(
            mountID: UInt64(inventory.mounts.count + 1), parentID: inventory.mounts.isEmpty ? 0 : parent,
            device: try #require(DeviceNumber(device)), root: root, mountPoint: mountPoint,
            mountOptions: options, filesystemType: type, source: source ?? "/dev/\(device)",
            superblockOptions: SuperblockOptions(superblock.utf8), namespace: namespace)
        inventory.mounts.append(entry)
        return entry
    }

    /// Records that one superblock's device lies in a file of another.
    mutating func store(_ device: String, on base: String) throws {
        let device = try #require(DeviceNumber(device))
        inventory.storedOn[device, default: []].insert(try #require(DeviceNumber(base)))
    }

    mutating func identify(_ device: String, _ identity: FilesystemIdentity) throws {
        inventory.identities[try #require(DeviceNumber(device))] = identity
    }

    /// A machine with one of everything.
    static func everything() throws -> StorageFixture {
        var fixture = StorageFixture()
        try fixture.mount("/", "ext4", "8:1")
        try fixture.mount("/proc", "proc", "0:20", source: "proc")
        try fixture.mount("/tmp", "tmpfs", "0:21", source: "tmpfs")
        try fixture.mount("/srv", "xfs", "8:2")
        try fixture.mount(
            "/home", "btrfs", "0:30", source: "/dev/sdb1", root: "/@home", superblock: "rw,subvol=/@home")
        try fixture.mount(
            "/snapshots", "btrfs", "0:30", source: "/dev/sdb1", root: "/@snap", superblock: "rw,subvol=/@snap")
        try fixture.mount("/boot/efi", "vfat", "8:3")
        try fixture.mount("/media/stick one", "vfat", "8:17")
        try fixture.mount("/var/lib/docker/overlay2/x/merged", "overlay", "0:40", source: "overlay")
        try fixture.mount("/net", "nfs4", "0:41", source: "server:/export")
        try fixture.mount("/gvfs", "fuse.gvfsd-fuse", "0:42", source: "gvfsd-fuse")
        try fixture.mount("/auto", "autofs", "0:43", source: "systemd-1")
        try fixture.mount("/cdrom", "ext4", "11:0", options: "ro", superblock: "ro")
        try fixture.mount("/srv/public", "xfs", "8:2", root: "/public", options: "ro", on: 4)
        try fixture.mount("/images/outer", "ext4", "7:0")
        try fixture.mount("/images/inner", "xfs", "7:1")
        try fixture.mount("/odd", "weirdfs", "8:33")
        try fixture.identify(
            "8:3", FilesystemIdentity(uuid: "ABCD-1234", partitionType: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"))
        try fixture.identify("8:2", FilesystemIdentity(uuid: "5A7B-22", label: "my data"))
        try fixture.store("7:0", on: "8:2")
        try fixture.store("7:1", on: "7:0")
        try fixture.store("0:40", on: "8:1")
        return fixture
    }

    func plan(_ policy: PlanPolicy = PlanPolicy()) throws -> FreezePlan {
        try FreezePlan.make(from: inventory, policy: policy)
    }
}

extension FreezePlan {
    /// The entry whose mount point this is.
    func entry(_ mountPoint: FilePath) throws -> PlannedFilesystem {
        try #require(filesystems.first { $0.mountPoint == mountPoint }, "no entry for \(mountPoint)")
    }
}
