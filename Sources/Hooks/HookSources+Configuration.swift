import Configuration

extension HookSources {
    /// What the admin has decided.
    public init(_ configuration: Configuration) {
        let hooks = configuration.hooks
        self.init(
            hooks.directory, imports: hooks.imports.map { HookDirectory($0.directory, style: $0.style) },
            overrides: hooks.overrides)
    }
}
