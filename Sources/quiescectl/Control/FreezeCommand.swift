import ArgumentParser
import Configuration
import ControlProtocol
import FreezeCore
import Presentation

/// `quiescectl freeze`: a request by hand.
struct FreezeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze",
        abstract: "Freeze the filesystems, as for a backup of the host.",
        discussion: """
            Hooks are called, everything is flushed and frozen, and the command ends: the filesystems stay frozen until \
            `quiescectl thaw`, or until freeze.max_window is over. Whoever writes, waits. For the time of one command, \
            `quiescectl exec` is safer: it cannot be forgotten.

            Ctrl-C before the end cancels. Let the output go to a terminal or a pipe: a file on a frozen filesystem \
            cannot be written.

            Exit status: 0 everything is frozen; 1 failed, nothing is left frozen; 2 wrong usage or configuration; 3 \
            quiesced cannot be reached; 4 another request is under way.

            Examples:
              quiescectl freeze && take-snapshot; quiescectl thaw
              quiescectl freeze --json
            """)

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() async throws {
        let socket = try options.load().control.socket
        let progress = try await RequestProgressDisplay.start(socket, isQuiet: output.json)
        let connection = try await ControlConnection.open(socket)
        let cancel = CancelAtSignal {
            // On a connection of its own: on this one it would wait behind the freeze.
            guard let other = try? await ControlConnection.open(socket) else { return }
            _ = try? await other.thaw()
            await other.close()
        }
        let reply: FreezeReply
        do throws(ControlFailure) {
            reply = try await connection.freeze(hold: false)
        } catch {
            await progress.failed(error, connection)
            throw error
        }
        cancel.stop()
        await progress.frozen(reply.request)
        await connection.close()
        try output.write(reply, orLines: lines(reply))
    }

    private func lines(_ reply: FreezeReply) -> [String] {
        let ends = "ends in \(readableDuration(milliseconds: reply.windowLeft)) at the latest"
        if reply.dryRun {
            return labelledLines([
                ("Dry run", "request \(reply.request): nothing is frozen, and no hook was called"),
                ("Window", "\(ends), or with `quiescectl thaw`"),
            ])
        }
        return labelledLines([
            ("Frozen", "by request \(reply.request)"),
            ("Window", "\(ends), or with `quiescectl thaw`"),
            ("Note", reply.reason ?? ""),
        ])
    }
}
