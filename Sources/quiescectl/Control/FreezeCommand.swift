import ArgumentParser
import ControlProtocol

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

            A request with --rehearsal is never counted as a good backup.

            Ctrl-C before the end cancels. Let the output go to a terminal or a pipe: a file on a frozen filesystem \
            cannot be written.

            Exit status: 0 everything is frozen; 1 failed, nothing is left frozen; 2 wrong usage or configuration; 3 \
            quiesced cannot be reached; 4 another request is under way; 5 the window was over before that could be told.

            Examples:
              quiescectl freeze
              quiescectl freeze --json
              quiescectl freeze --rehearsal && quiescectl thaw
              quiescectl thaw --request 1799e7926fa00910
            """)

    @Flag(help: "Do not count the request as a backup.")
    var rehearsal = false

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let parameters = FreezeParameters(rehearsal: rehearsal ? true : nil)
        try ManualFreeze(socket: try options.path(), parameters: parameters, output: output).run()
    }
}
