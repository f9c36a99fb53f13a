import ArgumentParser
import Configuration
import ControlProtocol
import FreezeCore
import Presentation

/// `quiescectl acknowledge`: an admin has seen what needs attention.
struct AcknowledgeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acknowledge",
        abstract: "Say that you have seen what needs attention.",
        discussion: """
            When a hook fails at thaw its application may be down, although the backup is good. `status`, `history` and \
            `check` show it until a later backup calls the hook with success, or until this command.

            Exit status: 0 acknowledged, or nothing needed attention; 2 wrong usage or configuration; 3 quiesced cannot \
            be reached.

            Examples:
              quiescectl status
              quiescectl acknowledge
            """)

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let connection = try ControlConnection.open(try options.path())
        let reply = try connection.acknowledge()
        connection.close()
        let hooks = reply.hooks.joined(separator: ", ")
        let text = reply.hooks.isEmpty ? "Nothing needs attention." : "Acknowledged: \(hooks)."
        try output.write(reply, orLines: text.wrapped(to: TextLayout.width))
    }
}
