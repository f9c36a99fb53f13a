/// What the admin wants frozen: the `[filesystems]` section of the configuration.
public struct PlanPolicy: Hashable, Sendable {
    /// What becomes of a local, writable filesystem that the kernel cannot freeze.
    public enum Unfreezable: String, Sendable, Hashable, CaseIterable {
        /// It is flushed, and the level of the result drops.
        case sync
        /// No plan can be made.
        case fail
    }

    /// Empty: all.
    public var include: [FilesystemSelector]
    /// Wins over `include`.
    public var exclude: [FilesystemSelector]
    public var unfreezable: Unfreezable

    public init(
        include: [FilesystemSelector] = [], exclude: [FilesystemSelector] = [], unfreezable: Unfreezable = .sync
    ) {
        self.include = include
        self.exclude = exclude
        self.unfreezable = unfreezable
    }
}
