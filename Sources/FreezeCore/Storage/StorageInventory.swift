/// What a plan is made from: everything that is known of the machine's filesystems at one moment.
public struct StorageInventory: Hashable, Sendable {
    /// The mount table, in its own order; then those of other mount namespaces, as far as they matter.
    public var mounts: [MountEntry]
    /// What is known of the superblocks' devices. Where a device did not answer, its entry is missing.
    public var identities: [DeviceNumber: FilesystemIdentity]
    /// All the names of the devices a superblock is on (`/dev/vda1`, `/dev/mapper/vg-root`, `/dev/disk/by-…`).
    public var devicePaths: [DeviceNumber: Set<String>]
    /// From a superblock to those that hold the files it is directly stored in.
    public var storedOn: [DeviceNumber: Set<DeviceNumber>]
    /// Superblocks directly on hidden storage, also through device-mapper, md and loop devices.
    public var hiddenStorage: [DeviceNumber: HiddenStorage] = [:]
    /// Filesystems in use and in no mount table of any namespace.
    public var unreachable: [UnreachableFilesystem] = []
    /// What could not be found out, in sentences for the admin.
    public var notes: [String]
    /// Where there may be filesystems that are not in `mounts`, in sentences. A plan made without them is there to be
    /// looked at only.
    public var unseen: [String]

    public init(
        mounts: [MountEntry], identities: [DeviceNumber: FilesystemIdentity] = [:],
        devicePaths: [DeviceNumber: Set<String>] = [:], storedOn: [DeviceNumber: Set<DeviceNumber>] = [:],
        notes: [String] = [], unseen: [String] = []
    ) {
        self.mounts = mounts
        self.identities = identities
        self.devicePaths = devicePaths
        self.storedOn = storedOn
        self.notes = notes
        self.unseen = unseen
    }
}
