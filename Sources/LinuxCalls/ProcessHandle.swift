import CLinux
import FreezeCore
import Glibc
import SystemPackage

/// A process, held by a pidfd: a later process with the same id is never meant.
public final class ProcessHandle: Sendable {
    public let identity: ProcessIdentity
    public let descriptor: FileDescriptor

    /// Nil if the process has ended, whoever has the id now.
    ///
    /// - Throws: EMFILE, ENFILE, ENOMEM. The process may be alive then.
    public static func open(_ identity: ProcessIdentity) throws(Errno) -> ProcessHandle? {
        guard let descriptor = try pin(identity) else { return nil }
        return ProcessHandle(identity, owning: descriptor)
    }

    /// Nil if the process has ended, or if the state is unknown (``open(_:)`` throws the reason).
    public convenience init?(_ identity: ProcessIdentity) {
        guard let descriptor = (try? Self.pin(identity)) ?? nil else { return nil }
        self.init(identity, owning: descriptor)
    }

    private init(_ identity: ProcessIdentity, owning descriptor: FileDescriptor) {
        self.identity = identity
        self.descriptor = descriptor
    }

    private static func pin(_ identity: ProcessIdentity) throws(Errno) -> FileDescriptor? {
        // pidfd_open(2) has EINVAL for a number that is no process id.
        guard identity.processID > 0 else { return nil }
        let descriptor: FileDescriptor
        do throws(Errno) {
            descriptor = FileDescriptor(rawValue: try Errno.check(clinux_pidfd_open(identity.processID)))
        } catch .noSuchProcess {
            return nil
        }
        do throws(Errno) {
            // The id is pinned only now: check the start time again.
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

    /// Whether every thread has ended. A thread that hangs in the kernel has not ended, even after SIGKILL.
    public var hasEnded: Bool {
        waitForEnd(atMost: .zero)
    }

    /// Waits until every thread has ended; false at the limit.
    public func waitForEnd(atMost limit: Duration) -> Bool {
        !pollOne(descriptor, events: .readable, atMost: limit).isEmpty
    }

    public func send(signal: CInt) throws(Errno) {
        try Errno.check(clinux_pidfd_kill(descriptor.rawValue, signal))
    }

    /// Makes the calling process undumpable: a core dump keeps the sockets open until the dump is written, and on a
    /// frozen filesystem a dump is never written. Also resets the signals of a crash to their defaults: the backtracer
    /// of the Swift runtime would start a process first.
    public static func dieSilentlyWhenCrashing() throws(Errno) {
        try Errno.check(clinux_set_dumpable(false))
        for crash in [SIGQUIT, SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP] {
            signal(crash, SIG_DFL)
        }
    }
}

extension ProcessHandle {
    /// True if the process has ended, or was killed and ends when the kernel releases the last threads: the program
    /// runs no code any more. False if /proc cannot be read.
    ///
    /// A thread in uninterruptible sleep survives SIGKILL until it wakes up, and keeps every descriptor
    /// and every lock of the process.
    public var isDying: Bool {
        if hasEnded { return true }
        guard let record = (try? ProcessRecord.read(identity.processID)) ?? nil,
            !record.isAlive || record.isExiting
        else { return false }
        // The main thread of a running process may have ended.
        return ProcessThreads.areKilled(in: identity.processID) || hasEnded
    }

    /// Whether the process is stopped, by SIGSTOP or a debugger (proc_pid_stat(5): T, t).
    public var isStopped: Bool {
        guard let record = (try? ProcessRecord.read(identity.processID)) ?? nil else { return false }
        return !hasEnded && (record.state == "T" || record.state == "t")
    }

    /// Kills the process, and waits until the program runs no code any more: as long as a system call needs to notice
    /// the signal.
    public func kill(within limit: Duration) {
        try? send(signal: SIGKILL)
        let deadline = Moment.now + limit
        while !isDying, Moment.now < deadline { _ = waitForEnd(atMost: .milliseconds(2)) }
    }
}

/// `/proc/PID/stat`, opened once, to be read again when no path may be opened.
public final class HeldProcessRecord: Sendable {
    private let descriptor: FileDescriptor

    /// - Throws: ENOENT if there is no such process; EMFILE, ENFILE, ENOMEM.
    public init(of process: ProcessIdentity) throws(Errno) {
        descriptor = try openDescriptor(FilePath("/proc/\(process.processID)/stat"), .readOnly)
    }

    deinit {
        try? descriptor.close()
    }

    /// Whether the main thread has ended, so that the program runs no code any more. Another thread may still hang in
    /// the kernel. False if unknown.
    public var isDying: Bool {
        var buffer = [UInt8](repeating: 0, count: 1024)
        let count = pread(descriptor.rawValue, &buffer, buffer.count, 0)
        // ESRCH: the process of the open file has ended, also if its number is in use again.
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
