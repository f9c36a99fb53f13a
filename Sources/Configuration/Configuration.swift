import SystemPackage

/// What the admin decided: `/etc/quiesced/quiesced.toml`, every key of it optional.
///
/// ``ConfigurationKey/all`` lists the keys as they are spelled in the file.
public struct Configuration: Hashable, Sendable {
    public var freeze = Freeze()
    public var filesystems = Filesystems()
    public var hooks = Hooks()
    public var hyperv = HyperV()
    public var control = Control()
    public var paths = Paths()

    /// Every key at its default.
    public init() {}

    /// `[freeze]`
    public struct Freeze: Hashable, Sendable {
        /// All filesystems are frozen within this, else all are thawed and the request fails.
        public var timeout = Duration.seconds(10)
        /// The longest window, from the first freeze to the last thaw.
        public var maxWindow = Duration.seconds(60)
        /// For each of the two flushes, before and after the hooks.
        public var flushTimeout = Duration.seconds(60)

        public init() {}
    }

    /// `[filesystems]`
    public struct Filesystems: Hashable, Sendable {
        /// Selectors (`/srv*`, `UUID=…`, `LABEL=…`, `/dev/…`, `fstype:…`), unparsed; empty for all.
        public var include: [String] = []
        /// Selectors, unparsed.
        public var exclude: [String] = []
        public var unfreezable = UnfreezablePolicy.sync
        public var mountNamespaces = MountNamespaces.own

        public init() {}
    }

    /// `[hooks]`
    public struct Hooks: Hashable, Sendable {
        public var directory: FilePath = "/etc/quiesced/hooks.d"
        /// For each hook, in each phase; never more than what is left of ``totalTimeout``.
        public var timeout = Duration.seconds(30)
        /// For all hooks of one phase together.
        public var totalTimeout = Duration.seconds(120)
        public var onFailure = HookFailurePolicy.abort

        public init() {}
    }

    /// `[hyperv]`
    public struct HyperV: Hashable, Sendable {
        public var enabled = ChannelSwitch.auto
        public var device: FilePath = "/dev/vmbus/hv_vss"

        public init() {}
    }

    /// `[control]`
    public struct Control: Hashable, Sendable {
        public var socket: FilePath = "/run/quiesced/control.sock"

        public init() {}
    }

    /// `[paths]`
    public struct Paths: Hashable, Sendable {
        /// On a tmpfs: the ledger and whatever else must be writable while everything is frozen.
        public var run: FilePath = "/run/quiesced"
        /// The history.
        public var state: FilePath = "/var/lib/quiesced"

        public init() {}
    }
}

/// What becomes of a request that meets a writable filesystem without a freeze.
public enum UnfreezablePolicy: String, Hashable, Sendable, CaseIterable {
    /// Flush it; the level of the result drops.
    case sync
    /// Fail the request.
    case fail
}

/// Whose mounts are looked at.
public enum MountNamespaces: String, Hashable, Sendable, CaseIterable {
    /// The daemon's own.
    case own
    /// Those of every process on the machine. Not available yet: the loader refuses it.
    case all
}

/// What becomes of a request when a hook fails or is refused.
public enum HookFailurePolicy: String, Hashable, Sendable, CaseIterable {
    case abort
    /// Freeze all the same; the level of the result drops.
    case `continue`
}

/// Whether a channel is opened. `true` and `false` are booleans in the file.
public enum ChannelSwitch: String, Hashable, Sendable, CaseIterable {
    /// If its device is there.
    case auto
    case on = "true"
    case off = "false"
}
