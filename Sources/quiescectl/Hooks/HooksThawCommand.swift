import ArgumentParser
import ControlProtocol
import FreezeCore

/// `quiescectl hooks thaw`: ends a request of `hooks freeze`.
struct HooksThawCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thaw",
        abstract: "End `quiescectl hooks freeze`: release the session hooks, and call the hooks for thaw.",
        discussion: """
            For the scripts of other agents: see hooks/adapters. Without a request of `hooks freeze` the command does \
            nothing.

            Exit status: 0 the hooks held until now, or there was nothing to do; 1 it could not be done; 2 wrong usage or \
            configuration; 3 quiesced cannot be reached; 5 done, but a hook, or the window, was lost before: the snapshot \
            is not to be trusted; 6 the hooks held, but a hook failed at thaw: its application may be down.

            Examples:
              quiescectl hooks thaw
              quiescectl hooks thaw --failed
            """)

    @Flag(help: "Tell the hooks that there is no good snapshot.")
    var failed = false

    @OptionGroup var options: SocketOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let failure = failed ? "the other agent has no snapshot" : nil
        let parameters = ThawParameters(failure: failure, hooksOnly: true)
        try ManualThaw(socket: try options.path(), parameters: parameters, output: output).run()
    }
}
