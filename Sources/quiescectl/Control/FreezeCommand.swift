import ArgumentParser
import Configuration
import ControlProtocol
import FreezeCore
import LinuxCalls
import Presentation

/// `quiescectl freeze`: a request by hand.
struct FreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze",
        abstract: "Freeze the filesystems, as for a backup of the host.",
        discussion: """
            Hooks are called, everything is flushed and frozen, and the command ends: the filesystems stay frozen until \
            `quiescectl thaw`, or until freeze.max_window is over. Whoever writes, waits; on XFS also who only reads can wait, at the \
            close of a file that another program has extended. For the time of one command, \
            `quiescectl exec` is safer: it cannot be forgotten. A script thaws with --request and the id that freeze \
            has printed, and only if freeze has succeeded: else it could end the window of another.

            Ctrl-C before the end cancels. Let the output go to a terminal or a pipe: a file on a frozen filesystem \
            cannot be written.

            Exit status: 0 everything is frozen; 1 failed, nothing is left frozen; 2 wrong usage or configuration; 3 \
            quiesced cannot be reached; 4 another request is under way; 5 the window was over before that could be told.

            Examples:
              quiescectl freeze
              quiescectl freeze --json
              quiescectl thaw --request 1799e7926fa00910
            """)

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let socket = try options.path()
        let progress = try RequestProgressDisplay.start(socket, isQuiet: output.json)
        let connection = try ControlConnection.open(socket)
        let cancel = try CancelAtSignal(socket, progress, isHeld: false)
        let reply: FreezeReply
        do throws(ControlFailure) {
            reply = try connection.freeze(hold: false)
        } catch {
            throw progress.failed(error, isCancelled: cancel.wasAsked, connection)
        }
        cancel.stop()
        if cancel.wasAsked {
            // It came while the answer was on its way: what the handler has asked for may not have been heard.
            giveUp(reply, progress, connection, CancelAtSignal.reason)
            throw ControlFailure.cancelled(request: reply.request)
        }
        progress.frozen(reply.request)
        do {
            try output.write(reply, orLines: lines(reply))
        } catch {
            // Who was not told that everything is frozen thaws nothing.
            giveUp(reply, progress, connection, "the result of freeze could not be told")
            throw error
        }
        // A file on a frozen filesystem takes the text when the window is over: too late for a snapshot.
        let isInWindow = isInWindow(reply, connection)
        connection.close()
        guard isInWindow else { throw Self.toldTooLate(reply) }
    }

    /// Whether everything is still frozen. The daemon's clock decides: who has waited for a thaw here is ahead of an
    /// end that is counted from when the answer was read.
    private func isInWindow(_ reply: FreezeReply, _ connection: ControlConnection) -> Bool {
        guard let status = try? connection.status(), let request = status.request else { return false }
        guard request.id == reply.request else { return false }
        return status.state == .rehearsing || status.state == .frozen && request.windowLeft ?? 0 > 0
    }

    private func giveUp(
        _ reply: FreezeReply, _ progress: RequestProgressDisplay, _ connection: ControlConnection,
        _ failure: String
    ) {
        _ = try? connection.thaw(request: reply.request, failure: failure)
        _ = progress.finished(reply.request)
        connection.close()
    }

    private static func toldTooLate(_ reply: FreezeReply) -> ControlFailure {
        .refused(
            .consistencyLost,
            ControlErrorParameters(
                request: reply.request,
                reason:
                    "the window was over before this could be told: the output goes to a filesystem that was frozen, "
                    + "or somebody has thawed"))
    }

    private func lines(_ reply: FreezeReply) -> [String] {
        let request = escapedControlCharacters(reply.request)
        let ends = "ends in \(readableDuration(milliseconds: reply.windowLeft)) at the latest"
        if reply.dryRun {
            return labelledLines([
                ("Dry run", "request \(request): nothing is frozen, and no hook was called"),
                ("Window", "\(ends), or with `quiescectl thaw`"),
            ])
        }
        return labelledLines([
            ("Frozen", "by request \(request)"),
            ("Window", "\(ends), or with `quiescectl thaw`"),
            ("Note", escapedControlCharacters(reply.reason ?? "")),
        ])
    }
}
