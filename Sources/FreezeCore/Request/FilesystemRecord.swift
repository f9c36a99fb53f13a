import SystemPackage

/// One filesystem of a request: the plan for the filesystem, and the results.
public struct FilesystemRecord: Hashable, Sendable {
    public let device: DeviceNumber
    public let mountPoint: FilePath
    public var otherMountPoints: [FilePath] = []
    public let source: String
    public let type: String
    public var identity = FilesystemIdentity()
    public let action: FilesystemAction
    /// Why this action.
    public let reason: String
    /// Freeze order, for the action freeze: 0 is frozen first and thawed last.
    public var step: Int?
    /// The devices of the filesystems below.
    public var storedOn: [DeviceNumber] = []
    /// True for a sync that does not lower the level of the result.
    public var isHarmless = false
    /// True if `include` or `exclude` left the filesystem out, which would be frozen or flushed otherwise.
    public var isLeftOut = false
    /// In order: before the hooks, after the plain ones, and while session hooks hold, if there are any.
    public var flushes: [TimedResult] = []
    public var freeze: TimedResult?
    public var thaw: TimedResult?
    /// True if FIFREEZE or FITHAW had not returned when the record was written.
    public var isStuck = false
    /// Tasks that sleep inside a write to the filesystem. FIFREEZE would wait, or waits, for the tasks.
    public var holders: [WriteHolder] = []

    public init(
        device: DeviceNumber, mountPoint: FilePath, source: String, type: String, action: FilesystemAction,
        reason: String
    ) {
        self.device = device
        self.mountPoint = mountPoint
        self.source = source
        self.type = type
        self.action = action
        self.reason = reason
    }

    public init(_ planned: PlannedFilesystem) {
        self.init(
            device: planned.device, mountPoint: planned.mountPoint, source: planned.mount.source,
            type: planned.mount.filesystemType, action: planned.action, reason: planned.reason)
        otherMountPoints = planned.otherMountPoints
        identity = planned.identity
        step = planned.step
        storedOn = planned.storedOn
        isHarmless = planned.isHarmless
        isLeftOut = planned.isLeftOut
    }

    /// True after any failure, or with a write holder.
    public var hasFailed: Bool {
        isStuck || !holders.isEmpty || freeze?.error != nil || thaw?.error != nil
            || flushes.contains { $0.error != nil }
    }
}
