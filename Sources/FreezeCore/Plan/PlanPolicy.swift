import SystemPackage

/// What the admin wants frozen: the `[filesystems]` section of the configuration.
public struct PlanPolicy: Hashable, Sendable {
    /// What becomes of a local, writable filesystem that the kernel cannot freeze.
    public enum Unfreezable: String, Sendable, Hashable, CaseIterable {
        /// It is flushed, and the level of the result drops.
        case sync
        /// No plan can be made.
        case fail
    }

    /// The consequence of a filesystem in use and in no mount table.
    public enum Unreachable: String, Sendable, Hashable, CaseIterable {
        /// The level of the result drops.
        case lower
        /// No plan can be made.
        case fail
    }

    /// Whose mounts are looked at.
    public enum MountNamespaces: String, Sendable, Hashable, CaseIterable {
        /// Those of our own mount namespace.
        case own
        /// Those of every process on the machine: a filesystem may be mounted in a container only.
        case all
    }

    /// Empty: all.
    public var include: [FilesystemSelector]
    /// Wins over `include`.
    public var exclude: [FilesystemSelector]
    public var unfreezable: Unfreezable
    public var unreachable: Unreachable
    public var mountNamespaces: MountNamespaces
    public var order: [FreezeOrder.Rule]
    /// The mount points that a request selects; nil for all filesystems.
    public var selection: [FilePath]?

    public init(
        include: [FilesystemSelector] = [], exclude: [FilesystemSelector] = [], unfreezable: Unfreezable = .sync,
        unreachable: Unreachable = .lower, mountNamespaces: MountNamespaces = .all,
        order: [FreezeOrder.Rule] = []
    ) {
        self.include = include
        self.exclude = exclude
        self.unfreezable = unfreezable
        self.unreachable = unreachable
        self.mountNamespaces = mountNamespaces
        self.order = order
    }
}
