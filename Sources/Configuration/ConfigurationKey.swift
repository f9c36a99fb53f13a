import SystemPackage

/// One key of the configuration file. The loader, the example file and the documentation all go by ``all``.
public struct ConfigurationKey: Sendable {
    /// The full name, `section.key`.
    public let name: String
    /// What it means, in one line.
    public let summary: String
    let value: ConfigurationValue

    init(_ name: String, _ value: ConfigurationValue, _ summary: String) {
        self.name = name
        self.value = value
        self.summary = summary
    }

    /// What may be written, in words.
    public var type: String { value.type }

    /// The default as it is written in the file, quotes included.
    public var defaultText: String { value.text(in: Configuration()) }

    /// The key's value in a configuration, as it is written in the file.
    public func text(in configuration: Configuration) -> String { value.text(in: configuration) }

    /// Every key there is, in the order of the example file.
    public static let all: [ConfigurationKey] = [
        ConfigurationKey(
            "freeze.timeout", .duration(\.freeze.timeout),
            "all filesystems are frozen within this, else all are thawed and the request fails"),
        ConfigurationKey(
            "freeze.max_window", .duration(\.freeze.maxWindow),
            "longest window; past it everything is thawed and the backup is reported failed"),
        ConfigurationKey(
            "freeze.flush_timeout", .duration(\.freeze.flushTimeout),
            "for each of the two flushes, before and after the plain hooks"),
        ConfigurationKey(
            "freeze.expedited_rcu", .choice(\.freeze.expeditedRCU),
            "the kernel hurries while it freezes: writers wait much less"),
        ConfigurationKey(
            "filesystems.include", .selectors(\.filesystems.include),
            "only these filesystems; empty means all"),
        ConfigurationKey("filesystems.exclude", .selectors(\.filesystems.exclude), "never these filesystems"),
        ConfigurationKey(
            "filesystems.unfreezable", .choice(\.filesystems.unfreezable),
            "a filesystem that cannot be frozen is flushed, or fails the request"),
        ConfigurationKey(
            "filesystems.unreachable", .choice(\.filesystems.unreachable),
            "a filesystem in use that is in no mount table lowers the level of the result, or fails the request"),
        ConfigurationKey(
            "filesystems.mount_namespaces", .choice(\.filesystems.mountNamespaces),
            "whose mounts are looked at: the daemon's, or those of containers too"),
        ConfigurationKey(
            "filesystems.order", .orders(\.filesystems.order),
            "filesystems that are frozen before others, where the storage does not show it"),
        ConfigurationKey("hooks.directory", .path(\.hooks.directory), "where the hooks are"),
        ConfigurationKey("hooks.timeout", .duration(\.hooks.timeout), "for each hook, in each phase"),
        ConfigurationKey(
            "hooks.total_timeout", .duration(\.hooks.totalTimeout), "for all hooks of one phase together"),
        ConfigurationKey(
            "hooks.on_failure", .choice(\.hooks.onFailure),
            "a hook that fails or is refused fails the request, or only lowers the level of its result"),
        ConfigurationKey(
            "hooks.import", .imports(\.hooks.imports),
            "directories of hooks that were written for other agents, and are called as those call them"),
        ConfigurationKey(
            "hooks.overrides", .overrides(\.hooks.overrides),
            "limits of single hooks, by the hook's name, instead of those of all"),
        ConfigurationKey(
            "hyperv.enabled", .choice(\.hyperv.enabled), "answer the Hyper-V host; auto: if the device is there"),
        ConfigurationKey("hyperv.device", .path(\.hyperv.device), "the Hyper-V VSS device"),
        ConfigurationKey(
            "control.socket", .path(\.control.socket),
            "where quiescectl reaches the daemon; by default control.sock in paths.run"
        ),
        ConfigurationKey("paths.run", .path(\.paths.run), "on a tmpfs: what must be writable while frozen"),
        ConfigurationKey("paths.state", .path(\.paths.state), "the history of requests"),
    ]

    var section: String { String(name.prefix { $0 != "." }) }

    static let sections = Set(all.map(\.section))

    static func named(_ name: String) -> ConfigurationKey? {
        all.first { $0.name == name }
    }
}
