/// Where requests come from: one way in, by name.
public struct ChannelID: Hashable, Sendable, CustomStringConvertible {
    public let name: String

    public init(name: String) {
        self.name = name
    }

    /// The Hyper-V VSS device.
    public static let hyperV = ChannelID(name: "hyperv")

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

/// What the host is told of an operation.
public enum OperationAnswer: Hashable, Sendable {
    case success
    case failure
}

/// What a channel tells the coordinator.
public enum ChannelEvent: Hashable, Sendable {
    /// The host reaches us from now on. `isStandIn` when the device is not the kernel's own (a pty of
    /// `simulate-host`): only there may a dry run answer FREEZE with success.
    case registered(isStandIn: Bool)
    /// The host asks whether a backup would be possible. Answered by the coordinator.
    case hotBackup(OperationID)
    case freeze(OperationID)
    case thaw(OperationID)
    /// The host can no longer be answered; an operation that waited for its answer will not get one. The device is
    /// closed, and stays closed until `RequestChannel.reopen()`.
    case lost(reason: String)
    /// To be logged, once nothing is frozen.
    case note(LogNote)
}

/// A channel, as the coordinator sees it. Every method returns at once and may be called from any thread.
public protocol RequestChannel: Sendable {
    var id: ChannelID { get }

    /// Begins to serve. A device that is not there, or not free, is no error: it is tried again.
    func start() throws

    /// Answers an operation, in time or not at all. An answer to an operation that is no longer waiting is dropped.
    ///
    /// - Parameter limit: When the answer stops being true: "frozen" is, until the window's deadline. Nil for never.
    func answer(_ operation: OperationID, _ answer: OperationAnswer, before limit: Moment?)

    /// Opens no path from now on (P7). What is open stays open. Call it when a request begins, long before the first
    /// freeze: an attempt that is under way may still end after the return.
    func holdOpening()

    /// Allows opening the device again, as soon as a retry is due. Call it when idle: after a request, and after
    /// `ChannelEvent.lost`, which implies `holdOpening()`.
    func reopen()

    /// Writes the answers already given, closes the device and ends. Nothing is delivered after it has ended.
    func stop()
}
