import FreezeCore
import LinuxCalls
import SystemPackage

/// What a new ledger is made of.
public struct LedgerContents: Sendable {
    /// One superblock that a request means to freeze.
    public struct Superblock: Sendable, Hashable {
        public let device: DeviceNumber
        public let mountPoint: FilePath
        /// Freeze order: 0 is frozen first and thawed last.
        public let step: Int
        /// Tells this life of it from any other filesystem that has the same number later; nil if that is not known.
        public let life: UInt64?

        public init(device: DeviceNumber, mountPoint: FilePath, step: Int, life: UInt64? = nil) {
            self.device = device
            self.life = life
            self.mountPoint = mountPoint
            self.step = step
        }
    }

    public let requestID: String
    public let channel: String
    /// Kept of the options: whether the request freezes, whether it is a rehearsal, and the selection.
    public let options: FreezeOptions
    /// The life of the daemon that serves the request.
    public let daemon: ProcessIdentity
    public let superblocks: [Superblock]
    /// The hooks' names, in freeze order.
    public let hooks: [String]
    /// The ledger that this one takes the place of, when a request is planned again: how far its hooks were called
    /// stands in the new one from its first moment.
    public let earlier: Ledger?

    public init(
        requestID: String, channel: String, options: FreezeOptions = FreezeOptions(), daemon: ProcessIdentity,
        superblocks: [Superblock], hooks: [String], replacing earlier: Ledger? = nil
    ) {
        self.requestID = requestID
        self.channel = channel
        self.options = options
        self.daemon = daemon
        self.superblocks = superblocks
        self.hooks = hooks
        self.earlier = earlier
    }

    func progress(ofHook name: String) -> HookProgress {
        guard let earlier, let index = earlier.hooks.firstIndex(of: name) else { return .notStarted }
        return earlier.hookProgress(index)
    }
}

/// How far a hook was called, as the ledger remembers it over a crash.
public enum HookProgress: UInt64, Sendable {
    case notStarted = 0
    /// Called with `freeze`, or about to be: it is owed a `thaw`.
    case started = 1
    /// Called with `thaw`, and ended.
    case finished = 2
}
