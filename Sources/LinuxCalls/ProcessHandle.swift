import CLinux
import FreezeCore
import Glibc
import SystemPackage

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

extension ProcessHandle {
    /// True if the process has ended, or was killed and ends as soon as the kernel releases the last threads. The
    /// process runs no code any more. False if /proc cannot be read.
    ///
    /// A thread in uninterruptible sleep survives SIGKILL until it wakes up, and keeps every descriptor
    /// and every lock of the process.
    public var isDying: Bool {
        if hasEnded { return true }
        guard let record = (try? ProcessRecord.read(identity.processID)) ?? nil,
            !record.isAlive || record.isExiting
        else { return false }
        // The main thread of a running process may have ended, too.
        return ProcessThreads.areKilled(in: identity.processID) || hasEnded
    }

    /// Whether it stands still, by SIGSTOP or under a debugger (proc_pid_stat(5): T, t).
    public var isStopped: Bool {
        guard let record = (try? ProcessRecord.read(identity.processID)) ?? nil else { return false }
        return !hasEnded && (record.state == "T" || record.state == "t")
    }

    /// Kills it, and waits until nothing of its program runs any more; that takes no longer than a system call does
    /// to notice.
    public func kill(within limit: Duration) {
        try? send(signal: SIGKILL)
        let deadline = Moment.now + limit
        while !isDying, Moment.now < deadline { _ = waitForEnd(atMost: .milliseconds(2)) }
    }
}

/// The kernel's line on a process, opened once, so that it can be read again when no path may be opened.
public final class HeldProcessRecord: Sendable {
    private let descriptor: FileDescriptor

    /// - Throws: ENOENT if there is no such process; EMFILE, ENFILE, ENOMEM.
    public init(of process: ProcessIdentity) throws(Errno) {
        descriptor = try openDescriptor(FilePath("/proc/\(process.processID)/stat"), .readOnly)
    }

    deinit {
        try? descriptor.close()
    }

    /// Whether its main thread is gone, though another one may still hang in the kernel: nothing of its program runs
    /// any more. False if that cannot be told.
    public var isDying: Bool {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = pread(descriptor.rawValue, &buffer, buffer.count, 0)
        // ESRCH: the process that the file was opened for is gone, whoever has its number now.
        if count < 0 { return errno == ESRCH }
        return ProcessRecord(parsing: Array(buffer[..<count]))?.isAlive == false
    }
}

/// The threads of a process, as /proc shows them.
enum ProcessThreads {
    /// Whether every thread has ended, is ending, or has SIGKILL pending, and so never returns to the program.
    /// False if unknown.
    static func areKilled(in process: pid_t) -> Bool {
        let directory = FilePath("/proc/\(process)/task")
        guard let threads = try? directoryEntries(directory) else { return false }
        return threads.allSatisfy { thread in
            do throws(Errno) {
                let thread = directory.appending(thread)
                let record = ProcessRecord(parsing: try readWholeFile(thread.appending("stat")))
                // A thread that ends has SIGKILL pending no more (kernel/signal.c: get_signal).
                if let record, !record.isAlive || record.isExiting { return true }
                return isKilled(status: try readWholeFile(thread.appending("status")))
            } catch {
                // ENOENT, ESRCH: the thread has ended meanwhile.
                return error == .noSuchFileOrDirectory || error == .noSuchProcess
            }
        }
    }

    /// - Parameter status: The contents of `/proc/PID/task/TID/status` (proc_pid_status(5)). The kernel marks SIGKILL as
    ///   pending for each thread (kernel/signal.c: complete_signal).
    static func isKilled(status: [UInt8]) -> Bool {
        let status = ProcessStatusFile(String(decoding: status, as: UTF8.self))
        let isOver = status["State"].first == "Z" || status["State"].first == "X"
        let isKillPending = (status.mask("SigPnd") ?? 0) & 1 << UInt64(SIGKILL - 1) != 0
        return isOver || isKillPending
    }
}
