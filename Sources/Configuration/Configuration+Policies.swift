import FreezeCore

extension RequestPolicy {
    /// The limits of the configuration.
    public init(_ configuration: Configuration) {
        self.init()
        freezeTimeout = configuration.freeze.timeout
        maxWindow = configuration.freeze.maxWindow
        flushTimeout = configuration.freeze.flushTimeout
        hookTimeout = configuration.hooks.timeout
        hooksTotalTimeout = configuration.hooks.totalTimeout
        onHookFailure = configuration.hooks.onFailure
        channels[ChannelID.qemu.name]?.maxWindow = configuration.qemu.maxWindow
    }
}

extension PlanPolicy {
    /// The choices of the configuration.
    public init(_ configuration: Configuration) {
        let filesystems = configuration.filesystems
        self.init(
            include: filesystems.include, exclude: filesystems.exclude, unfreezable: filesystems.unfreezable,
            unreachable: filesystems.unreachable, mountNamespaces: filesystems.mountNamespaces,
            order: filesystems.order)
    }
}
