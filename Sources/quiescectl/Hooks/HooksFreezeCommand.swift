import ArgumentParser
import ControlProtocol

/// `quiescectl hooks freeze`: the hooks, for another agent that freezes.
struct HooksFreezeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "freeze",
        abstract: "Call the hooks for freeze, around the freeze of another agent.",
        discussion: """
            For the scripts of other agents, such as QEMU's guest agent or VMware's tools: see hooks/adapters. quiesced \
            calls the hooks and holds the session hooks as in a backup, and freezes nothing. `quiescectl hooks thaw` has \
            to come within freeze.max_window, or the hooks are called for thaw as after a failure.

            If a hook fails, the started hooks are called for thaw at once. The request is in the history.

            Exit status: 0 the hooks hold; 1 a hook failed, and nothing is held; 2 wrong usage or configuration; 3 \
            quiesced cannot be reached; 4 another request is under way; 5 the window was over before that could be told.

            Examples:
              quiescectl hooks freeze && { take-snapshot; quiescectl hooks thaw; }
              quiescectl hooks freeze --request-file /run/my-agent
            """)

    @Option(
        help: ArgumentHelp(
            "Write the request's id to this file, on a tmpfs such as /run, for `hooks thaw --request-file`.",
            valueName: "path"), completion: .file())
    var requestFile: RequestFile?

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let parameters = FreezeParameters(freeze: false)
        try ManualFreeze(
            socket: try options.path(), parameters: parameters, requestFile: requestFile, output: output
        )
        .run()
    }
}
