import SystemPackage

/// One line of a mount table (proc_pid_mountinfo(5)), decoded.
public struct MountEntry: Hashable, Sendable {
    /// The mount's id, unique while it is mounted; statx(2) gives the same for a descriptor on it.
    public let mountID: UInt64
    public let parentID: UInt64
    /// The superblock's device number.
    public let device: DeviceNumber
    /// The directory of the filesystem that is mounted; `/` unless it is a bind mount or a subvolume.
    public let root: FilePath
    public let mountPoint: FilePath
    /// The mount's own options; `ro` here may hide a writable superblock.
    public let mountOptions: String
    public let filesystemType: String
    public let source: String
    public let superblockOptions: SuperblockOptions
    /// The mount namespace whose table it is of, and whose root its mount point is below; nil for our own.
    public let namespace: MountNamespace?

    public init(
        mountID: UInt64, parentID: UInt64, device: DeviceNumber, root: FilePath, mountPoint: FilePath,
        mountOptions: String, filesystemType: String, source: String, superblockOptions: SuperblockOptions,
        namespace: MountNamespace? = nil
    ) {
        self.mountID = mountID
        self.parentID = parentID
        self.device = device
        self.root = root
        self.mountPoint = mountPoint
        self.mountOptions = mountOptions
        self.filesystemType = filesystemType
        self.source = source
        self.superblockOptions = superblockOptions
        self.namespace = namespace
    }

    /// Where it is mounted, safe to show: `/data`, or `/data in the mount namespace of process 1234 (postgres)`.
    public var place: String {
        namespace.map { "\(mountPoint.escaped) in \($0)" } ?? mountPoint.escaped
    }
}

extension [MountEntry] {
    /// The mounts that tell an admin which filesystem it is: those of our own namespace, if there are any. What the
    /// others see the same filesystem as (`/etc/hosts` in a container may be a file of our `/`) names something else.
    var known: [MountEntry] {
        let own = filter { $0.namespace == nil }
        return own.isEmpty ? self : own
    }
}
