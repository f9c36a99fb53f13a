import ArgumentParser
import ControlProtocol
import Glibc
import Synchronization
import SystemPackage
import UnixSignals

/// Cancels a FREEZE when the user presses Ctrl-C, or the command is told to end; the command goes on and ends by what
/// comes of it. A second signal ends quiescectl at once.
final class CancelAtSignal: Sendable {
    /// What is on record of a request that was cancelled.
    static let reason = "cancelled by the caller"

    private let asked = Mutex(false)
    private let task = Mutex<Task<Void, Never>?>(nil)

    /// - Parameters:
    ///   - socket: Of the daemon. On the connection of the FREEZE a cancellation would wait behind the FREEZE.
    ///   - progress: Knows which request is meant.
    ///   - isHeld: Whether the request is the connection's that FREEZE was sent on.
    ///   - notBegun: Called for a request that has not begun, as far as is known.
    init(
        _ socket: FilePath, _ progress: RequestProgressDisplay, isHeld: Bool,
        notBegun: @escaping @Sendable () async -> Void = {}
    ) {
        let watch = Task { [self] in
            for await _ in await UnixSignalsSequence(trapping: .sigint, .sigterm, .sighup) {
                let isFirst = asked.withLock { asked in
                    defer { asked = true }
                    return !asked
                }
                guard isFirst else { Self.abandon() }
                Task { await Self.cancel(socket, progress, isHeld: isHeld, notBegun: notBegun) }
            }
        }
        task.withLock { $0 = watch }
    }

    /// Whether a signal came.
    var wasAsked: Bool { asked.withLock { $0 } }

    func stop() {
        task.withLock { $0?.cancel() }
    }

    private static func cancel(
        _ socket: FilePath, _ progress: RequestProgressDisplay, isHeld: Bool, notBegun: () async -> Void
    ) async {
        guard let other = try? await ControlConnection.open(socket) else { return await notBegun() }
        do throws(ControlFailure) {
            var attempts = 20
            while try await !cancel(through: other, progress, isHeld: isHeld), attempts > 0 {
                // What is told of the request comes on another connection.
                attempts -= 1
                try? await Task.sleep(for: .milliseconds(50))
            }
            if attempts == 0 { await notBegun() }
        } catch {
            if case .silent = error { abandon() }
            await notBegun()
        }
        await other.close()
    }

    /// - Returns: Whether there was a request to cancel.
    private static func cancel(
        through connection: ControlConnection, _ progress: RequestProgressDisplay, isHeld: Bool
    ) async throws(ControlFailure) -> Bool {
        // A daemon that lives answers this at any moment (P9); the thaw it may answer late.
        let status = try await connection.status()
        if let request = await progress.current, status.request?.id == request {
            // By name: a late signal ends nobody else's window.
            _ = try? await connection.thaw(force: isHeld, request: request, failure: reason)
            return true
        }
        guard !isHeld, [.thawing, .releasing, .thawHooks].contains(status.state) else { return false }
        // It waits for the end of the request before it, which this does not disturb.
        _ = try? await connection.thaw(failure: reason)
        return true
    }

    /// Ends quiescectl although nobody knows what has become of the request.
    private static func abandon() -> Never {
        printError(ControlFailure.abandoned)
        Glibc.exit(ExitCode.failed.rawValue)
    }
}
