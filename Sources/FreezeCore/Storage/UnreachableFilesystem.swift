/// A filesystem in use and in no mount table, so no path leads to the filesystem: unmounted lazily, a detached
/// mount (fsmount(2)), or mounted in a namespace without processes.
///
/// quiesce does not mount such a filesystem again: the disk may have gone to another machine meanwhile, and a
/// mount could write.
public struct UnreachableFilesystem: Hashable, Sendable {
    /// The name of the kernel's driver: `ext4`, for ext2 and ext3 too.
    public let type: String
    /// The kernel's name of the device; the first device of a btrfs on several.
    public let source: String
    public let devices: [DeviceNumber]
    /// The number of the superblock's life: no other superblock gets the number before the next boot. Nil in a record from
    /// a file.
    public let life: UInt64?
    public var identity = FilesystemIdentity()
    /// All names of the devices.
    public var devicePaths: Set<String>

    public init(type: String, source: String, devices: [DeviceNumber], life: UInt64?) {
        self.type = type
        self.source = source
        self.devices = devices
        self.life = life
        devicePaths = [source]
    }

    /// Type and source, safe to show: `ext4 on /dev/sdb1`.
    public var summary: String {
        "\(escapedControlCharacters(type)) on \(escapedControlCharacters(source))"
    }

    /// For the admin, in sentences.
    var note: String {
        "\(summary) is in use and in no mount table, so it is not frozen, and a backup is crash-consistent at best: it was "
            + "unmounted lazily, or is mounted in a namespace without processes. End the processes that use it, or "
            + "exclude it by its device."
    }
}

extension PlanPolicy {
    /// True if the filesystem would be frozen if a path existed. Mount point entries do not apply.
    func concerns(_ filesystem: UnreachableFilesystem) -> Bool {
        if exclude.contains(where: { $0.matches(filesystem) }) { return false }
        return include.isEmpty || include.contains { $0.matches(filesystem) }
    }
}

extension FilesystemSelector {
    fileprivate func matches(_ filesystem: UnreachableFilesystem) -> Bool {
        switch self {
        case .mountPoint: false
        case .uuid(let uuid): filesystem.identity.uuid?.lowercased() == uuid
        case .label(let label): filesystem.identity.label == label
        case .device(let glob): filesystem.devicePaths.contains { glob.matches($0) }
        case .filesystemType(let type): filesystem.type == type
        }
    }
}
