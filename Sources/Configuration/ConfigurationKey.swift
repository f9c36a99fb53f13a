import SystemPackage

/// One key of the configuration file. The loader, the example file and the documentation all go by ``all``.
public struct ConfigurationKey: Sendable {
    /// The full name, `section.key`.
    public let name: String
    let value: ConfigurationValue

    init(_ name: String, _ value: ConfigurationValue) {
        self.name = name
        self.value = value
    }

    /// What may be written, in words.
    public var type: String { value.type }

    /// The default as it is written in the file, quotes included.
    public var defaultText: String { value.text(in: Configuration()) }

    /// The key's value in a configuration, as it is written in the file.
    public func text(in configuration: Configuration) -> String { value.text(in: configuration) }

    /// Every key there is, in the order of the example file.
    public static let all: [ConfigurationKey] = [
        ConfigurationKey("freeze.timeout", .duration(\.freeze.timeout)),
        ConfigurationKey("freeze.max_window", .duration(\.freeze.maxWindow)),
        ConfigurationKey("freeze.flush_timeout", .duration(\.freeze.flushTimeout)),
        ConfigurationKey("freeze.expedited_rcu", .choice(\.freeze.expeditedRCU)),
        ConfigurationKey("filesystems.include", .selectors(\.filesystems.include)),
        ConfigurationKey("filesystems.exclude", .selectors(\.filesystems.exclude)),
        ConfigurationKey("filesystems.unfreezable", .choice(\.filesystems.unfreezable)),
        ConfigurationKey("filesystems.unreachable", .choice(\.filesystems.unreachable)),
        ConfigurationKey("filesystems.mount_namespaces", .choice(\.filesystems.mountNamespaces)),
        ConfigurationKey("filesystems.order", .orders(\.filesystems.order)),
        ConfigurationKey("hooks.directory", .path(\.hooks.directory)),
        ConfigurationKey("hooks.timeout", .duration(\.hooks.timeout)),
        ConfigurationKey("hooks.total_timeout", .duration(\.hooks.totalTimeout)),
        ConfigurationKey("hooks.on_failure", .choice(\.hooks.onFailure)),
        ConfigurationKey("hooks.import", .imports(\.hooks.imports)),
        ConfigurationKey("hooks.overrides", .overrides(\.hooks.overrides)),
        ConfigurationKey("hyperv.enabled", .choice(\.hyperv.enabled)),
        ConfigurationKey("hyperv.device", .path(\.hyperv.device)),
        ConfigurationKey("qemu.enabled", .choice(\.qemu.enabled)),
        ConfigurationKey("qemu.device", .path(\.qemu.device)),
        ConfigurationKey("qemu.max_window", .duration(\.qemu.maxWindow)),
        ConfigurationKey("kvp.enabled", .choice(\.kvp.enabled)),
        ConfigurationKey("kvp.pool", .path(\.kvp.pool)),
        ConfigurationKey("control.socket", .path(\.control.socket)),
        ConfigurationKey("vsock.enabled", .choice(\.vsock.enabled)),
        ConfigurationKey("vsock.port", .number(\.vsock.port, VsockPorts.all)),
        ConfigurationKey("vsock.access", .choice(\.vsock.access)),
        ConfigurationKey("vsock.token_file", .optionalPath(\.vsock.tokenFile)),
        ConfigurationKey("paths.run", .path(\.paths.run)),
        ConfigurationKey("paths.state", .path(\.paths.state)),
    ]

    var section: String { String(name.prefix { $0 != "." }) }

    static let sections = Set(all.map(\.section))

    static func named(_ name: String) -> ConfigurationKey? {
        all.first { $0.name == name }
    }
}
