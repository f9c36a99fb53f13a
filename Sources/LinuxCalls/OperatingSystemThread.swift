import CLinux
import Glibc
import SystemPackage

/// Threads of the system: no other kind runs in quiesce.
public enum OperatingSystemThread {
    /// Starts a detached thread.
    ///
    /// - Parameters:
    ///   - name: Shown by ps and in /proc; cut to 15 bytes (PR_SET_NAME, prctl(2)).
    ///   - stackSize: Bytes; nil for the process's default.
    /// - Throws: EAGAIN when the system has no more threads to give.
    public static func start(
        _ name: String, stackSize: Int? = nil, _ body: @escaping @Sendable () -> Void
    ) throws(Errno) {
        var attributes = pthread_attr_t()
        var error = pthread_attr_init(&attributes)
        guard error == 0 else { throw Errno(rawValue: error) }
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        if let stackSize {
            error = pthread_attr_setstacksize(&attributes, stackSize)
            guard error == 0 else { throw Errno(rawValue: error) }
        }
        let box = Unmanaged.passRetained(ThreadBody(name: name, run: body))
        var thread = pthread_t()
        error = pthread_create(
            &thread, &attributes,
            { argument in
                guard let argument else { return nil }
                let body = Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue()
                clinux_name_thread(body.name)
                body.run()
                return nil
            }, box.toOpaque())
        guard error == 0 else {
            box.release()
            throw Errno(rawValue: error)
        }
    }

    private final class ThreadBody: Sendable {
        let name: String
        let run: @Sendable () -> Void

        init(name: String, run: @escaping @Sendable () -> Void) {
            self.name = name
            self.run = run
        }
    }
}
