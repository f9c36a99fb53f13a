import FreezeCore
import LinuxCalls
import Synchronization
import SystemPackage

/// A session hook that is ready, and holds what it holds until it is released; also when nobody refers to it any more.
public final class HeldSession: Sendable {
    private let control: SessionControl

    init(_ control: SessionControl) {
        self.control = control
    }

    deinit {
        control.release(within: HookSupervisor.grace)
    }

    /// Ends the hook's standard input, and returns at once. A hook that has not exited in time is ended as at any
    /// timeout. Only the first call counts.
    public func release(within timeout: Duration) {
        control.release(within: timeout)
    }
}

/// The way to a session hook's standard input, and to the thread that watches over the hook.
final class SessionControl: Sendable {
    private struct Release {
        let began: Moment
        let deadline: Moment
    }

    /// Readable once the session is released.
    let signal: WakeUp
    private let input: FileDescriptor
    private let release = Mutex<Release?>(nil)

    /// - Parameter input: The write end of the hook's standard input, to be closed.
    init(input: FileDescriptor) throws(Errno) {
        signal = try WakeUp()
        self.input = input
    }

    deinit {
        if release.withLock({ $0 == nil }) { try? input.close() }
    }

    func release(within timeout: Duration) {
        let now = Moment.now
        let isFirst = release.withLock { release in
            guard release == nil else { return false }
            release = Release(began: now, deadline: now + timeout)
            return true
        }
        guard isFirst else { return }
        // Close reports only what cannot concern a pipe.
        try? input.close()
        signal.signal()
    }

    var released: Moment? { release.withLock { $0?.began } }
    var deadline: Moment? { release.withLock { $0?.deadline } }
}
