import ArgumentParser
import Configuration
import FreezeCore
import Hooks
import LinuxCalls
import Presentation
import SystemPackage

/// `quiescectl hooks enable`: a hook that comes with quiesce is called from now on.
struct HooksEnableCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "enable",
        abstract: "Have a hook called that comes with quiesce.",
        discussion: """
            Links the hook into the directory of the hooks, so that it is updated with quiesce, and writes its settings \
            with their defaults, unless there are some. The next backup calls it. Without a name the hooks that can be \
            enabled are listed.

            Exit status: 0 it is enabled; 1 that was not possible; 2 there is no such hook, or wrong usage.

            Examples:
              quiescectl hooks enable
              quiescectl hooks enable postgresql
            """)

    @Argument(
        help: ArgumentHelp("The hook's name, as in the list.", valueName: "name"),
        completion: .custom { _, _, _ in Completions.shippedHooks() })
    var name: String?

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        let configuration = try options.load()
        let shipped = try ShippedHooks.ofThisProgram()
        guard let name else { return try list(shipped, configuration) }
        try RootNeeded.require(for: "hooks enable \(name)")
        let hook = try shipped.find(name)
        let change = try HookEnabling(hook, configuration).enable(from: shipped)
        try output.write(change, orLines: change.lines)
    }

    private func list(_ shipped: ShippedHooks, _ configuration: Configuration) throws {
        let hooks = try shipped.all().map { HookEnabling($0, configuration) }
        let style = TextStyle.ofLocale
        try output.write(
            hooks.map(\.document),
            orLines: TextTable(
                [.init("NAME"), .init("KIND"), .init("ENABLED AS", overflow: .cut)],
                rows: hooks.map {
                    ["\($0.hook.plainName)", $0.hook.kind.rawValue, $0.enabledAs ?? "-"].map(style.safe)
                }
            ).lines)
    }
}

/// `quiescectl hooks disable`: it is not called any more.
struct HooksDisableCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "disable",
        abstract: "Have a hook not called any more that was enabled.",
        discussion: """
            Removes the link that `quiescectl hooks enable` has made. Its settings stay. A hook of your own is not \
            touched: remove its file.

            Exit status: 0 it is disabled; 1 that was not possible; 2 there is no such hook, or wrong usage.

            Examples:
              quiescectl hooks disable postgresql
            """)

    @Argument(
        help: ArgumentHelp("The hook's name, as it was enabled.", valueName: "name"),
        completion: .custom { _, _, _ in Completions.shippedHooks() })
    var name: String

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    func run() throws {
        try RootNeeded.require(for: "hooks disable \(name)")
        let configuration = try options.load()
        let hook = try ShippedHooks.ofThisProgram().find(name)
        let change = try HookEnabling(hook, configuration).disable()
        try output.write(change, orLines: change.lines)
    }
}

extension ShippedHooks {
    static func ofThisProgram() throws(Errno) -> ShippedHooks {
        ShippedHooks(beside: try readSymbolicLink("/proc/self/exe"))
    }

    func find(_ name: String) throws -> Hook {
        let all = try all()
        guard let hook = all.first(where: { $0.plainName == name || $0.name == name }) else {
            printError(UnknownShippedHook(subject: name, directory: directory, names: all.map(\.plainName)))
            throw ExitCode.wrongUsage
        }
        return hook
    }
}

private struct UnknownShippedHook: ActionableError {
    let subject: String
    let directory: FilePath
    let names: [String]

    var problem: String { "no hook of that name comes with quiesce (\(directory.escaped))" }
    var remedy: String? {
        names.isEmpty
            ? "Install quiesce with `make install`, or its package."
            : "There are: \(names.joined(separator: ", "))."
    }
}
