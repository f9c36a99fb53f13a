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

    /// The process with this id now, or nil if there is none.
    public init?(of processID: pid_t) {
        guard let status = try? readWholeFile(FilePath("/proc/\(processID)/stat")),
            // The command name may hold anything, also blanks and parentheses: fields are counted after the last one.
            let nameEnd = status.lastIndex(of: UInt8(ascii: ")"))
        else { return nil }
        let fields = String(decoding: status[(nameEnd + 1)...], as: UTF8.self).split(separator: " ")
        guard fields.count > 19, let startTicks = UInt64(fields[19]) else { return nil }
        self.init(processID: processID, startTicks: startTicks)
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
    public init?(_ identity: ProcessIdentity) {
        guard let descriptor = try? Errno.check(clinux_pidfd_open(identity.processID)) else { return nil }
        self.descriptor = FileDescriptor(rawValue: descriptor)
        self.identity = identity
        // Only now is the id pinned; look again whose it is.
        guard ProcessIdentity(of: identity.processID) == identity else {
            try? self.descriptor.close()
            return nil
        }
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
        pollOne(descriptor, events: Int16(POLLIN), atMost: limit) != 0
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
