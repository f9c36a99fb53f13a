import Glibc
import SystemPackage

/// One life of one process: a process id can be used again, together with its start time it cannot.
public struct ProcessIdentity: Hashable, Sendable, CustomStringConvertible {
    public let processID: pid_t
    /// Clock ticks since boot at which it started (field 22 of proc_pid_stat(5)).
    public let startTicks: UInt64

    public init(processID: pid_t, startTicks: UInt64) {
        self.processID = processID
        self.startTicks = startTicks
    }

    /// The process with this id now; nil if there is none.
    ///
    /// - Throws: Why that cannot be told: EMFILE, ENFILE, ENOMEM, or there is no /proc. Whoever would take the process
    ///   for dead must not do so then.
    public static func lookUp(_ processID: pid_t) throws(Errno) -> ProcessIdentity? {
        guard let record = try ProcessRecord.read(processID) else { return nil }
        return ProcessIdentity(processID: processID, startTicks: record.startTicks)
    }

    /// The process with this id now; nil if there is none, or if that cannot be told (``lookUp(_:)`` can tell).
    public init?(of processID: pid_t) {
        guard let identity = (try? Self.lookUp(processID)) ?? nil else { return nil }
        self = identity
    }

    public static var current: ProcessIdentity {
        ProcessIdentity(of: getpid()) ?? ProcessIdentity(processID: getpid(), startTicks: 0)
    }

    public var description: String { "process \(processID)" }
}
