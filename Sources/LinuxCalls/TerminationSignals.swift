import CLinux
import Glibc
import Synchronization
import SystemPackage

/// Handlers for SIGTERM, SIGINT, SIGHUP, SIGQUIT (signal(7)), and for signals with a meaning of the program.
///
/// The signals are caught, not blocked and waited for: libraries may have threads that block no signal.
public enum TerminationSignals {
    /// The signals that end a command of a user: Ctrl-C, `kill`, and a terminal that is closed.
    public static let ofCommands = [SIGINT, SIGTERM, SIGHUP]

    private static let handler = Mutex<@Sendable (CInt) -> Void>({ _ in })
    private static let pipe = Mutex<OutputPipe?>(nil)

    /// Calls the handler with the number of each signal, one after the other, on a separate thread. A later call replaces
    /// the handler, also for signals that an earlier call has named.
    ///
    /// - Throws: EMFILE or ENFILE without a descriptor, EAGAIN when the system has no more threads to give.
    public static func handle(
        _ signals: [CInt], by handler: @escaping @Sendable (CInt) -> Void
    ) throws(Errno) {
        let pipe = try startedPipe()
        self.handler.withLock { $0 = handler }
        try Errno.check(clinux_catch_signals(pipe.writeEnd.rawValue, signals, signals.count))
    }

    /// Ignores the caught signals from here on.
    public static func ignore() {
        handler.withLock { $0 = { _ in } }
    }

    /// Of the thread that calls the handler.
    private static func startedPipe() throws(Errno) -> OutputPipe {
        let result = pipe.withLock { pipe -> Result<OutputPipe, Errno> in
            if let pipe { return .success(pipe) }
            do throws(Errno) {
                let made = try makePipe()
                pipe = made
                return .success(made)
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private static func makePipe() throws(Errno) -> OutputPipe {
        let pipe = try OutputPipe()
        do throws(Errno) {
            // A handler of a signal must not wait for room.
            try Errno.check(fcntl(pipe.writeEnd.rawValue, F_SETFL, O_NONBLOCK))
            try OperatingSystemThread.start("signals") { callHandlers(pipe.readEnd) }
            return pipe
        } catch {
            pipe.close()
            throw error
        }
    }

    private static func callHandlers(_ pipe: FileDescriptor) -> Never {
        // The parent may have left signals blocked.
        var none = sigset_t()
        sigemptyset(&none)
        pthread_sigmask(SIG_SETMASK, &none, nil)
        while true {
            _ = pollDescriptors([(pipe, .readable)], until: nil)
            for number in (try? readOnce(pipe, atMost: 64)) ?? [] {
                let handler = handler.withLock { $0 }
                handler(CInt(number))
            }
        }
    }
}
