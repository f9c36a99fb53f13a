import ArgumentParser
import Glibc
import Synchronization
import UnixSignals

/// Calls something when the user presses Ctrl-C, or the command is told to end; the command goes on and ends by what
/// comes of it. Whoever does not want to wait for that does the same again.
final class CancelAtSignal: Sendable {
    private let asked = Mutex(false)
    private let task = Mutex<Task<Void, Never>?>(nil)

    init(_ cancel: @escaping @Sendable () async -> Void) {
        let watch = Task { [self] in
            for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
                let isFirst = asked.withLock { asked in
                    defer { asked = true }
                    return !asked
                }
                guard isFirst else { Self.abandon() }
                Task { await cancel() }
            }
        }
        task.withLock { $0 = watch }
    }

    /// Whether it was called.
    var wasAsked: Bool { asked.withLock { $0 } }

    func stop() {
        task.withLock { $0?.cancel() }
    }

    /// Ends quiescectl although nobody knows what has become of the request.
    static func abandon() -> Never {
        printError(ControlFailure.abandoned)
        Glibc.exit(ExitCode.failed.rawValue)
    }
}
