import ArgumentParser

/// `quiescectl hooks`: the commands about hooks.
struct HooksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hooks",
        abstract: "List the hooks, and rehearse one of them.",
        discussion: """
            A hook is an executable in /etc/quiesced/hooks.d that gets an application ready for a backup.

            Examples:
              quiescectl hooks list
              quiescectl hooks run 50-myapp
            """,
        subcommands: [HooksListCommand.self, HooksRunCommand.self])
}
