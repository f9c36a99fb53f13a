import ArgumentParser
import ControlProtocol

/// `quiescectl hooks thaw`: ends a request of `hooks freeze`.
struct HooksThawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw",
        abstract: "End `quiescectl hooks freeze`: release the session hooks, and call the hooks for thaw.",
        discussion: """
            For the scripts of other agents: see hooks/adapters. A script uses --request and the id that `hooks freeze` \
            has printed, and only if `hooks freeze` has succeeded: else it could end the request of another script.

            Exit status: 0 the hooks held until now; 1 no hooks were held, or it could not be done; 2 wrong usage or \
            configuration; 3 quiesced cannot be reached; 5 a hook, the window, or quiesced was lost before: do not trust \
            the snapshot; 6 the hooks held, but a hook failed at thaw: its application may be down.

            Examples:
              quiescectl hooks thaw
              quiescectl hooks thaw --request 1799e7926fa00910
              quiescectl hooks thaw --failed
            """)

    @Flag(help: "Tell the hooks that there is no good snapshot.")
    var failed = false

    @Option(
        help: ArgumentHelp(
            "Thaw only this request, as `hooks freeze` printed it: if it is over, say so and touch nothing.",
            valueName: "id"))
    var request: String?

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let failure = failed ? "the other agent has no snapshot" : nil
        let parameters = ThawParameters(request: request, failure: failure, hooksOnly: true)
        try ManualThaw(socket: try options.path(), parameters: parameters, output: output).run()
    }
}
