import SystemPackage

/// What is done with a filesystem.
public enum FilesystemAction: String, Sendable, Hashable, CaseIterable {
    /// FIFREEZE.
    case freeze
    /// The kernel has no freeze for it: it is flushed, and the result is crash-consistent at best.
    case sync
    /// Left alone: nothing of it needs to be in the snapshot, or it is frozen where it lives.
    case skip
}

/// What blkid or udev know of a filesystem's device.
public struct FilesystemIdentity: Hashable, Sendable {
    public var uuid: String?
    public var label: String?
    /// The partition's type (GPT GUID in lower case, or `0x…` for MBR).
    public var partitionType: String?

    public init(
        uuid: String? = nil, label: String? = nil, partitionType: String? = nil
    ) {
        self.uuid = uuid
        self.label = label
        self.partitionType = partitionType
    }
}

/// One filesystem, that is one superblock, and what becomes of it.
public struct PlannedFilesystem: Hashable, Sendable {
    public let device: DeviceNumber
    /// The mount it is reached through.
    public private(set) var mount: MountEntry
    /// Other mounts it can be reached through, the best first, should this one turn out not to be a directory.
    public private(set) var alternatives: [MountEntry]
    /// Every other mount point of the same superblock, also the hidden ones. Not those in namespaces that it is not
    /// reached through.
    public private(set) var otherMountPoints: [FilePath]
    /// True if the way to the mount leads through an automount: it may be walked only in the kernel's cache, where
    /// nothing is waited for.
    public let isBelowAutomount: Bool
    /// True if other mounts hide the mount, so that its path leads elsewhere.
    public let isCovered: Bool
    public let identity: FilesystemIdentity
    public let action: FilesystemAction
    /// Why, in words an admin understands.
    public let reason: String
    /// Freeze order: step 0 is frozen first and thawed last. Nil unless the action is freeze.
    public let step: Int?
    /// Why it is frozen before others, in a clause; nil if it is frozen with the last ones.
    public let orderReason: String?
    /// Nil for storage that /sys shows.
    public let hiddenStorage: HiddenStorage?
    /// The filesystems it is directly or indirectly stored on.
    public let storedOn: [DeviceNumber]
    /// True for a sync that does not lower the level of the result (an EFI system partition).
    public let isHarmless: Bool
    /// True if only `include` or `exclude` keeps the filesystem from being frozen or flushed.
    public let isLeftOut: Bool
    /// True if skipped because patterns of `exclude` match the mount points.
    public let isExcludedByMountPoint: Bool

    public var mountPoint: FilePath { mount.mountPoint }

    /// True if the mount point leads to the filesystem in our own mount namespace.
    public var isInSight: Bool { mount.namespace == nil && !isCovered }

    /// True for a filesystem of the backup that is only flushed.
    public var isOnlyFlushed: Bool { action == .sync && !isHarmless }

    /// True if the filesystem makes the result crash-consistent at best.
    public var lowersLevel: Bool { isOnlyFlushed || writesThroughFreeze }

    /// True if the flush goes through the block device, because opening the mount may hang.
    public var isFlushedThroughDevice: Bool { action == .sync && mount.kind == .userspaceOnDisk }

    public init(
        device: DeviceNumber, mount: MountEntry, alternatives: [MountEntry] = [],
        otherMountPoints: [FilePath] = [], isBelowAutomount: Bool = false, isCovered: Bool = false,
        identity: FilesystemIdentity = FilesystemIdentity(), action: FilesystemAction, reason: String,
        step: Int? = nil, orderReason: String? = nil, hiddenStorage: HiddenStorage? = nil,
        storedOn: [DeviceNumber] = [], isHarmless: Bool = false,
        isLeftOut: Bool = false, isExcludedByMountPoint: Bool = false
    ) {
        self.device = device
        self.mount = mount
        self.alternatives = alternatives
        self.otherMountPoints = otherMountPoints
        self.isBelowAutomount = isBelowAutomount
        self.isCovered = isCovered
        self.identity = identity
        self.action = action
        self.reason = reason
        self.step = step
        self.orderReason = orderReason
        self.hiddenStorage = hiddenStorage
        self.storedOn = storedOn
        self.isHarmless = isHarmless
        self.isLeftOut = isLeftOut
        self.isExcludedByMountPoint = isExcludedByMountPoint
    }

    /// The same filesystem, reached through another mount.
    public func reached(through other: MountEntry) -> PlannedFilesystem {
        guard other.mountID != mount.mountID else { return self }
        var filesystem = self
        filesystem.mount = other
        filesystem.alternatives = alternatives.filter { $0.mountID != other.mountID } + [mount]
        filesystem.otherMountPoints = otherMountPoints.filter { $0 != other.mountPoint } + [mountPoint]
        return filesystem
    }
}

/// Which filesystems are frozen, synced or skipped, in which order and why.
public struct FreezePlan: Hashable, Sendable {
    /// Frozen ones by step and mount point, then the synced, then the skipped.
    public let filesystems: [PlannedFilesystem]
    /// What the admin should know besides, in sentences.
    public let notes: [String]
    /// Where there may be filesystems that are not in the plan, in sentences that are among the notes too.
    public let unseen: [String]
    /// Filesystems that would be frozen if a path existed. The notes name each filesystem, too.
    public let unreachable: [UnreachableFilesystem]

    public init(
        filesystems: [PlannedFilesystem], notes: [String] = [], unseen: [String] = [],
        unreachable: [UnreachableFilesystem] = []
    ) {
        self.filesystems = filesystems
        self.notes = notes
        self.unseen = unseen
        self.unreachable = unreachable
    }

    public func filesystems(_ action: FilesystemAction) -> [PlannedFilesystem] {
        filesystems.filter { $0.action == action }
    }

    /// The filesystems left out by `include` or `exclude`.
    public var leftOut: [PlannedFilesystem] { filesystems.filter(\.isLeftOut) }

    /// The filesystems of the backup that are only flushed.
    public var onlyFlushed: [PlannedFilesystem] { filesystems.filter(\.isOnlyFlushed) }

    /// The filesystems that make the result crash-consistent at best.
    public var loweringLevel: [PlannedFilesystem] { filesystems.filter(\.lowersLevel) }

    /// True if the result is crash-consistent at best.
    public var lowersLevel: Bool { !loweringLevel.isEmpty || !unreachable.isEmpty }

    /// The frozen filesystem that delays a write to the given filesystem: the filesystem or its storage. Nil for none.
    public func frozenFilesystem(for device: DeviceNumber) -> PlannedFilesystem? {
        guard let filesystem = filesystems.first(where: { $0.device == device }) else { return nil }
        if filesystem.action == .freeze { return filesystem }
        return filesystems(.freeze).first { filesystem.storedOn.contains($0.device) }
    }

    /// The filesystems to freeze, an array for each step, in the order of freezing.
    public var steps: [[PlannedFilesystem]] {
        let frozen = filesystems(.freeze)
        let last = frozen.compactMap(\.step).max() ?? -1
        return (0..<(last + 1)).map { step in frozen.filter { $0.step == step } }
    }
}

extension PlannedFilesystem {
    /// True if the server of its storage writes to a file although the file's filesystem is frozen. Without writes to the
    /// filesystem the server writes nothing. Filesystems that are not frozen are written to all the time.
    public var writesThroughFreeze: Bool {
        hiddenStorage?.writesThroughFreeze == true && !mount.isSuperblockReadOnly
    }

    /// For a plan with a filesystem that is written through a freeze.
    var noteOnWriting: String {
        "\(mount.place) is on \(hiddenStorage?.rawValue ?? ""), which writes through a freeze: the filesystem that holds "
            + "its file is not consistent in a snapshot. Serve the file in another way, such as a loop device."
    }
}
