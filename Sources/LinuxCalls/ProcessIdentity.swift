import CLinux
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

/// A process, held by a pidfd: it cannot be mistaken for another that got the same id.
public final class ProcessHandle: Sendable {
    public let identity: ProcessIdentity
    public let descriptor: FileDescriptor

    /// Nil if that life of the process is over.
    ///
    /// - Throws: Why that cannot be told: EMFILE, ENFILE, ENOMEM. The process may well be alive then.
    public static func open(_ identity: ProcessIdentity) throws(Errno) -> ProcessHandle? {
        guard let descriptor = try pin(identity) else { return nil }
        return ProcessHandle(identity, owning: descriptor)
    }

    /// Nil if that life of the process is over, or if that cannot be told (``open(_:)`` can tell).
    public convenience init?(_ identity: ProcessIdentity) {
        guard let descriptor = (try? Self.pin(identity)) ?? nil else { return nil }
        self.init(identity, owning: descriptor)
    }

    private init(_ identity: ProcessIdentity, owning descriptor: FileDescriptor) {
        self.identity = identity
        self.descriptor = descriptor
    }

    private static func pin(_ identity: ProcessIdentity) throws(Errno) -> FileDescriptor? {
        // pidfd_open(2) has EINVAL for what can be nobody's id.
        guard identity.processID > 0 else { return nil }
        let descriptor: FileDescriptor
        do throws(Errno) {
            descriptor = FileDescriptor(rawValue: try Errno.check(clinux_pidfd_open(identity.processID)))
        } catch .noSuchProcess {
            return nil
        }
        do throws(Errno) {
            // Only now is the id pinned; look again whose it is.
            if try ProcessIdentity.lookUp(identity.processID) == identity { return descriptor }
        } catch {
            try? descriptor.close()
            throw error
        }
        try? descriptor.close()
        return nil
    }

    deinit {
        try? descriptor.close()
    }

    /// Whether every thread of it has ended. While one hangs in the kernel, it has not, even after SIGKILL.
    public var hasEnded: Bool {
        waitForEnd(atMost: .zero)
    }

    /// Waits until every thread of it has ended; false if the time ran out first.
    public func waitForEnd(atMost limit: Duration) -> Bool {
        !pollOne(descriptor, events: .readable, atMost: limit).isEmpty
    }

    public func send(signal: CInt) throws(Errno) {
        try Errno.check(clinux_pidfd_kill(descriptor.rawValue, signal))
    }

    /// Makes the calling process undumpable: a core dump would keep its sockets open until it is written, and to a
    /// frozen filesystem that is never. Also gives the signals of a crash back to the kernel (the Swift runtime's
    /// backtracer would start a process instead of ending this one).
    public static func dieSilentlyWhenCrashing() throws(Errno) {
        try Errno.check(clinux_set_dumpable(false))
        for crash in [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] {
            signal(crash, SIG_DFL)
        }
    }
}
