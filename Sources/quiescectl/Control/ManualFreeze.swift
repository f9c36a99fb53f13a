import ArgumentParser
import ControlProtocol
import FreezeCore
import LinuxCalls
import Presentation
import SystemPackage

/// A FREEZE whose window goes on after the command has ended: `quiescectl freeze` and `quiescectl hooks freeze`.
struct ManualFreeze {
    let socket: FilePath
    let parameters: FreezeParameters
    var requestFile: RequestFile?
    let output: OutputOption

    private var isHooksOnly: Bool { parameters.freeze == false }

    func run() throws {
        let channel = isHooksOnly ? ChannelID.hooks : .control
        let progress = try RequestProgressDisplay.start(socket, channel: channel.name, isQuiet: output.json)
        let connection = try ControlConnection.open(socket)
        let cancel = try CancelAtSignal(socket, progress, isHeld: false, hooksOnly: isHooksOnly)
        let reply: FreezeReply
        do throws(ControlFailure) {
            reply = try connection.freeze(parameters)
        } catch {
            throw progress.failed(error, isCancelled: cancel.wasAsked, connection)
        }
        cancel.stop()
        if cancel.wasAsked {
            // The signal came while the answer was on its way, and the cancellation may have come too late.
            giveUp(reply, progress, connection, CancelAtSignal.reason)
            throw ControlFailure.cancelled(request: reply.request)
        }
        progress.frozen(reply.request)
        do {
            try requestFile?.write(reply.request)
            try output.write(reply, orLines: lines(reply))
        } catch {
            // A caller without the output does not know that a thaw is due.
            giveUp(reply, progress, connection, "the result of freeze could not be told")
            throw error
        }
        // A file on a frozen filesystem takes the text when the window is over: too late for a snapshot.
        let isInWindow = isInWindow(reply, connection)
        connection.close()
        guard isInWindow else { throw Self.toldTooLate(reply) }
    }

    /// Whether the window is still open. The daemon decides: the output may have waited for a thaw, and the end of the
    /// window counted from the answer would come too late.
    private func isInWindow(_ reply: FreezeReply, _ connection: ControlConnection) -> Bool {
        guard let status = try? connection.status(), let request = status.request else { return false }
        guard request.id == reply.request else { return false }
        return switch status.state {
        case .rehearsing, .holding: true
        case .frozen: request.windowLeft ?? 0 > 0
        default: false
        }
    }

    private func giveUp(
        _ reply: FreezeReply, _ progress: RequestProgressDisplay, _ connection: ControlConnection,
        _ failure: String
    ) {
        _ = try? connection.thaw(
            ThawParameters(request: reply.request, failure: failure, hooksOnly: isHooksOnly))
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
        let thaw = isHooksOnly ? "quiescectl hooks thaw" : "quiescectl thaw"
        let window = "ends in \(readableDuration(milliseconds: reply.windowLeft)) at the latest, or with `\(thaw)`"
        if reply.dryRun {
            return labelledLines([
                ("Dry run", "request \(request): nothing is frozen, and no hook was called"), ("Window", window),
            ])
        }
        let note = escapedControlCharacters(reply.reason ?? "")
        if isHooksOnly {
            return labelledLines([
                ("Held", "by the hooks of request \(request): nothing is frozen"), ("Window", window),
                ("Note", note),
            ])
        }
        let frozen = reply.filesystems.map { "\(counted($0, "filesystem", plural: "filesystems")), by" } ?? "by"
        return labelledLines([("Frozen", "\(frozen) request \(request)"), ("Window", window), ("Note", note)])
    }
}
