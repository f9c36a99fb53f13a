/// A source of requests, by name. ``ChannelRules`` has the expectations of the callers.
public struct ChannelID: Hashable, Sendable, CustomStringConvertible {
    public let name: String
    /// Distinguishes callers with separate requests; nil if all callers of the channel share a request.
    public let caller: UInt64?

    public init(name: String, caller: UInt64? = nil) {
        self.name = name
        self.caller = caller
    }

    /// The Hyper-V VSS device.
    public static let hyperV = ChannelID(name: "hyperv")
    /// The port of QEMU's guest agent.
    public static let qemu = ChannelID(name: "qemu")
    /// The control socket, for requests by hand: every client may end the request of another client.
    public static let control = ChannelID(name: "control")

    /// The control socket, for hooks around the freeze of another agent.
    public static let hooks = ChannelID(name: "hooks")

    /// The control socket, for a request that lasts as long as its caller's connection.
    public static func hold(_ connection: UInt64) -> ChannelID {
        ChannelID(name: "exec", caller: connection)
    }

    /// The Varlink interface for the host over vsock: the channel as a whole.
    public static let vsock = ChannelID(name: "vsock")

    /// The Varlink interface for the host over vsock, for the request of one connection.
    public static func vsock(_ connection: UInt64) -> ChannelID {
        ChannelID(name: vsock.name, caller: connection)
    }

    public var description: String { name }
}

/// One operation that a channel has received. No two operations of one process share an id, so an answer can never
/// reach another operation than the one it was made for.
public struct OperationID: Hashable, Sendable, CustomStringConvertible {
    public let number: UInt64

    public init(number: UInt64) {
        self.number = number
    }

    public var description: String { "operation \(number)" }
}

/// The result of an operation, for the host.
public enum OperationAnswer: Hashable, Sendable {
    case success
    case failure
}

/// The details of an answer, for hosts that read details.
public struct AnswerDetail: Hashable, Sendable {
    /// Why an operation failed, for programs.
    public enum Refusal: String, Hashable, Sendable, CaseIterable {
        /// Another request is served (P8).
        case busy
        /// The operation failed; only stuck filesystems are left frozen.
        case failed
        /// The window had ended early: the snapshot may be torn (P3).
        case lost
        /// The request in progress belongs to another channel.
        case notOwner
        /// There is nothing to thaw.
        case nothingFrozen
    }

    /// The request of the operation.
    public var request: RequestID?
    /// Nil for success.
    public var refusal: Refusal?
    /// Why, in a clause; nil for plain success.
    public var reason: String?
    /// For a FREEZE that succeeded: when the freezer thaws, whatever else happens.
    public var windowDeadline: Moment?
    /// For an operation that succeeded: the number of filesystems that are frozen, or were.
    public var filesystems: Int?
    /// The number of flushed filesystems without a freeze.
    public var flushed: Int?
    /// Nothing was frozen, because quiesced runs with `--dry-run`.
    public var isDryRun = false
    /// For `acknowledge`: the hooks that needed attention.
    public var acknowledged: [String] = []

    public init(request: RequestID? = nil, refusal: Refusal? = nil, reason: String? = nil) {
        self.request = request
        self.refusal = refusal
        self.reason = reason
    }
}

/// The request that a THAW ends.
public struct ThawWish: Hashable, Sendable {
    /// The only request to end; nil for the request in progress. A late caller with the id cannot end a window that
    /// another caller opened.
    public var request: RequestID?
    /// Also ends the request of another channel, which is lost then.
    public var isForced: Bool
    /// Why the caller has no snapshot after a good window: the request is recorded as failed.
    public var failure: String?

    public init(request: RequestID? = nil, isForced: Bool = false, failure: String? = nil) {
        self.request = request
        self.isForced = isForced
        self.failure = failure
    }

    /// The channel's own request, whichever it is.
    public static let own = ThawWish()
}

/// An event of a channel, for the coordinator.
public enum ChannelEvent: Hashable, Sendable {
    /// The host can reach quiesced from now on. `isStandIn` for a device other than the kernel's (a pty of
    /// `simulate-host`): only there a dry run may answer FREEZE with success.
    case registered(isStandIn: Bool)
    /// The host asks whether a backup would be possible. Answered by the coordinator.
    case hotBackup(OperationID)
    case freeze(OperationID, FreezeOptions = FreezeOptions())
    case thaw(OperationID, ThawWish = .own)
    /// The failure of a THAW has reached no client.
    case thawUndelivered(reason: String)
    /// An admin has seen the failed thaw hooks.
    case acknowledge(OperationID)
    /// The host can no longer be answered; operations in progress get no answer. The device is closed, and stays closed
    /// until `RequestChannel.reopen()`.
    case lost(reason: String)
    /// A line for the log, written when nothing is frozen.
    case note(LogNote)
}

/// A channel, as the coordinator sees it. Every method may be called from any thread, and returns at once, except `stop`.
public protocol RequestChannel: Sendable {
    /// What its channel ids are named, the most usual one first.
    var names: [String] { get }

    /// Begins to serve. A missing or busy device is no error: the channel retries.
    func start() throws

    /// Answers an operation, in time or not at all. Drops an answer to an operation that no longer waits.
    ///
    /// - Parameter limit: When the answer stops being true: "frozen" is, until the window's deadline. Nil for never.
    func answer(_ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?)

    /// Opens no path from now on (P7). Open descriptors stay open. Call when a request begins, long before the first
    /// freeze: an attempt in progress may still end after the return.
    func holdOpening()

    /// Allows opening the device again, as soon as a retry is due. Call when idle: after a request, and after
    /// `ChannelEvent.lost`, which implies `holdOpening()`.
    func reopen()

    /// Writes the answers already given, closes the device and ends. Nothing is delivered after it has ended. Returns
    /// within two seconds.
    func stop()
}
