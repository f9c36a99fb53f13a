import FreezeCore
import SystemPackage

/// What the admin decided: `/etc/quiesced/quiesced.toml`, every key of it optional.
///
/// ``ConfigurationKey/all`` lists the keys as they are spelled in the file.
public struct Configuration: Hashable, Sendable {
    public var freeze = Freeze()
    public var filesystems = Filesystems()
    public var hooks = Hooks()
    public var hyperv = HyperV()
    public var qemu = QEMU()
    public var kvp = KVP()
    public var control = Control()
    public var vsock = Vsock()
    public var paths = Paths()

    /// Every key at its default.
    public init() {}

    /// `[freeze]`
    public struct Freeze: Hashable, Sendable {
        /// All filesystems are frozen within this, else all are thawed and the request fails.
        public var timeout = RequestPolicy().freezeTimeout
        /// The longest window, from the first freeze to the last thaw.
        public var maxWindow = RequestPolicy().maxWindow
        /// For each of the two flushes, before and after the plain hooks.
        public var flushTimeout = RequestPolicy().flushTimeout
        /// Whether expedited RCU grace periods are used while freezing.
        public var expeditedRCU = OnOff.on

        public init() {}
    }

    /// `[filesystems]`
    public struct Filesystems: Hashable, Sendable {
        /// Empty for all.
        public var include: [FilesystemSelector] = []
        /// Wins over ``include``.
        public var exclude: [FilesystemSelector] = []
        public var unfreezable = PlanPolicy().unfreezable
        public var unreachable = PlanPolicy().unreachable
        public var mountNamespaces = PlanPolicy().mountNamespaces
        /// What is frozen before what, beside what the storage shows.
        public var order: [FreezeOrder.Rule] = []

        public init() {}
    }

    /// `[hooks]`
    public struct Hooks: Hashable, Sendable {
        public var directory: FilePath = "/etc/quiesced/hooks.d"
        /// For each hook, in each phase; never more than what is left of ``totalTimeout``.
        public var timeout = RequestPolicy().hookTimeout
        /// For all hooks of one phase together.
        public var totalTimeout = RequestPolicy().hooksTotalTimeout
        public var onFailure = RequestPolicy().onHookFailure
        /// Directories of hooks that were written for other agents; one of each style.
        public var imports: [HookImport] = []
        /// Limits of single hooks; one for each name, in bytewise order of the names.
        public var overrides: [HookOverride] = []

        public init() {}
    }

    /// `[hyperv]`
    public struct HyperV: Hashable, Sendable {
        public var enabled = ChannelSwitch.auto
        public var device: FilePath = "/dev/vmbus/hv_vss"

        public init() {}
    }

    /// `[qemu]`
    public struct QEMU: Hashable, Sendable {
        public var enabled = ChannelSwitch.auto
        public var device: FilePath = "/dev/virtio-ports/org.qemu.guest_agent.0"
        /// The longest window of the channel, within ``Freeze/maxWindow``.
        public var maxWindow = Configuration.longestWindow

        public init() {}
    }

    /// `[kvp]`
    public struct KVP: Hashable, Sendable {
        public var enabled = ChannelSwitch.auto
        public var pool: FilePath = "/var/lib/hyperv/.kvp_pool_1"

        public init() {}
    }

    /// `[control]`
    public struct Control: Hashable, Sendable {
        /// By default it is in ``Paths/run``.
        public var socket = Paths().run.appending(Control.socketName)

        static let socketName = "control.sock"

        public init() {}
    }

    /// `[vsock]`
    public struct Vsock: Hashable, Sendable {
        public var enabled = OnOff.off
        public var port = 9119
        public var access = VsockAccess.status
        /// Empty for no token: every process of the host then has the access.
        public var tokenFile = FilePath()

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

/// `[[hooks.import]]`: a directory of hooks that were written for another agent, and are called as that calls them.
public struct HookImport: Hashable, Sendable {
    public let style: HookStyle
    public let directory: FilePath

    public init(_ style: HookStyle, _ directory: FilePath) {
        self.style = style
        self.directory = directory
    }
}

/// `[hooks.overrides."NAME"]`: limits of one hook, instead of those of all.
public struct HookOverride: Hashable, Sendable {
    /// The hook's name, as `quiescectl hooks list` shows it.
    public let hook: String
    /// For each call; nil for ``Configuration/Hooks/timeout``.
    public let timeout: Duration?
    /// Nil for what holds without the override.
    public let onFailure: RequestPolicy.HookFailure?

    public init(_ hook: String, timeout: Duration? = nil, onFailure: RequestPolicy.HookFailure? = nil) {
        self.hook = hook
        self.timeout = timeout
        self.onFailure = onFailure
    }
}

/// A boolean in the file.
public enum OnOff: String, Hashable, Sendable, CaseIterable {
    case on = "true"
    case off = "false"
}

/// The access of the host over vsock.
public enum VsockAccess: String, Hashable, Sendable, CaseIterable {
    /// Read the status, the history and events.
    case status
    /// Read, and freeze in a window that ends with the connection.
    case control
}

/// Whether a channel to the host is used. `true` and `false` are booleans in the file.
public enum ChannelSwitch: String, Hashable, Sendable, CaseIterable {
    /// If its device is there.
    case auto
    case on = "true"
    case off = "false"
}
