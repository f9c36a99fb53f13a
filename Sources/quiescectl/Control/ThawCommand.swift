import ArgumentParser
import ControlProtocol

/// `quiescectl thaw`: ends a request by hand.
struct ThawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw",
        abstract: "Thaw what `quiescectl freeze` has frozen.",
        discussion: """
            Everything is thawed, and the hooks are called for thaw; the command ends after the last of them. A request \
            of the host, of `quiescectl exec` or of `quiescectl hooks freeze` is ended only with --force. The owner of the \
            request then gets failure: its backup is lost.

            Exit status: 0 the window was good to its end; 1 nothing was frozen, the request is another's, thawing \
            failed, or quiesced ended before it told the result; 2 wrong usage or configuration; 3 quiesced cannot be \
            reached; 5 thawed, but the window had ended early, or was ended by force: do not trust what was taken in it; \
            6 the window was good, but a hook failed at thaw: its application may be down.

            Examples:
              quiescectl thaw
              quiescectl thaw --request 1799e7926fa00910
              quiescectl thaw --force
            """)

    @Flag(help: "End any request. The backup it is for is lost.")
    var force = false

    @Option(
        help: ArgumentHelp(
            "Thaw only this request, as freeze printed it: if it is over, say so and touch nothing.",
            valueName: "id"))
    var request: String?

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let parameters = ThawParameters(force: force, request: request)
        try ManualThaw(socket: try options.path(), parameters: parameters, output: output).run()
    }
}
