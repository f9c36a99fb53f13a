import ArgumentParser

/// `quiescectl hooks`: the commands about hooks.
struct HooksCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hooks",
        abstract: "List, enable, make and rehearse hooks; call them for another agent.",
        discussion: """
            A hook is an executable in /etc/quiesced/hooks.d that gets an application ready for a backup.

            Examples:
              quiescectl hooks list
              quiescectl hooks enable postgresql
              quiescectl hooks new 50-myapp
              quiescectl hooks run 50-myapp
            """,
        subcommands: [
            HooksListCommand.self, HooksRunCommand.self, HooksEnableCommand.self, HooksDisableCommand.self,
            HooksNewCommand.self, HooksFreezeCommand.self, HooksThawCommand.self,
        ])
}
