import ArgumentParser
import ControlProtocol
import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// Cancels a FREEZE when the user presses Ctrl-C, or the command is told to end; the command goes on and ends by what
/// comes of it. A second signal ends quiescectl at once.
final class CancelAtSignal: Sendable {
    /// What is on record of a request that was cancelled.
    static let reason = "cancelled by the caller"

    private let asked = Atomic(false)

    /// - Parameters:
    ///   - socket: Of the daemon. On the connection of the FREEZE a cancellation would wait behind the FREEZE.
    ///   - progress: Knows which request is meant.
    ///   - isHeld: Whether the request is the connection's that FREEZE was sent on.
    ///   - hooksOnly: Whether the request only calls hooks.
    ///   - notBegun: Called for a request that has not begun, as far as is known.
    init(
        _ socket: FilePath, _ progress: RequestProgressDisplay, isHeld: Bool, hooksOnly: Bool = false,
        notBegun: @escaping @Sendable () -> Void = {}
    ) throws(Errno) {
        try TerminationSignals.handle(TerminationSignals.ofCommands) { [self] _ in
            guard !asked.exchange(true, ordering: .relaxed) else { Self.abandon() }
            // A second signal is heard meanwhile.
            do throws(Errno) {
                try OperatingSystemThread.start("cancel") {
                    Self.cancel(socket, progress, isHeld: isHeld, hooksOnly: hooksOnly, notBegun: notBegun)
                }
            } catch {
                Self.abandon()
            }
        }
    }

    /// Whether a signal came.
    var wasAsked: Bool { asked.load(ordering: .relaxed) }

    /// From now on signals do nothing.
    func stop() {
        TerminationSignals.ignore()
    }

    private static func cancel(
        _ socket: FilePath, _ progress: RequestProgressDisplay, isHeld: Bool, hooksOnly: Bool,
        notBegun: () -> Void
    ) {
        guard let other = try? ControlConnection.open(socket) else { return notBegun() }
        do throws(ControlFailure) {
            var attempts = 20
            while try !cancel(through: other, progress, isHeld: isHeld, hooksOnly: hooksOnly), attempts > 0 {
                // What is told of the request comes on another connection.
                attempts -= 1
                _ = pollDescriptors([], until: .now + .milliseconds(50))
            }
            if attempts == 0 { notBegun() }
        } catch {
            if case .silent = error { abandon() }
            notBegun()
        }
        other.close()
    }

    /// - Returns: Whether there was a request to cancel.
    private static func cancel(
        through connection: ControlConnection, _ progress: RequestProgressDisplay, isHeld: Bool,
        hooksOnly: Bool
    ) throws(ControlFailure) -> Bool {
        // A daemon that lives answers this at any moment (P9); the thaw it may answer late.
        let status = try connection.status()
        if let request = progress.current, status.request?.id == request {
            // By name: a late signal ends nobody else's window.
            _ = try? connection.thaw(
                ThawParameters(force: isHeld, request: request, failure: reason, hooksOnly: hooksOnly))
            return true
        }
        guard !isHeld, [.thawing, .releasing, .thawHooks].contains(status.state) else { return false }
        // It waits for the end of the request before it, which this does not disturb.
        _ = try? connection.thaw(ThawParameters(failure: reason, hooksOnly: hooksOnly))
        return true
    }

    /// Ends quiescectl although nobody knows what has become of the request.
    private static func abandon() -> Never {
        printError(ControlFailure.abandoned)
        Glibc.exit(ExitCode.failed.rawValue)
    }
}
