import ArgumentParser
import Configuration
import FreezeCore
import Glibc
import Hooks
import LinuxCalls
import Presentation
import SystemPackage

/// `quiescectl hooks new`: the beginning of a hook of one's own.
struct HooksNewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "new",
        abstract: "Write a template for a hook of your own.",
        discussion: """
            Writes a template with comments into the directory of the hooks. Backups fail until the template is edited \
            or removed. The name begins with two digits, which give the order.

            Exit status: 0 the template is written; 1 that was not possible; 2 wrong usage.

            Examples:
              quiescectl hooks new 50-myapp
              quiescectl hooks new --session 50-mydatabase
            """)

    @Argument(help: ArgumentHelp("The hook's name.", valueName: "name"))
    var name: String

    @Flag(help: "A session hook, which holds a lock over the whole window. Its name gets .session appended.")
    var session = false

    @OptionGroup var options: ConfigurationOption
    @OptionGroup var output: OutputOption

    private struct Document: Encodable {
        let hook: String
        let path: String
        let kind: String
    }

    func run() throws {
        try RootNeeded.require(for: "hooks new \(name)")
        let directory = try options.load().hooks.directory
        let kind: HookKind = session || HookKind(hookName: name) == .session ? .session : .plain
        let fileName = kind == .session && HookKind(hookName: name) == .plain ? name + ".session" : name
        if let problem = Self.problem(with: fileName) {
            printError(HookNotWritten(subject: name, problem: problem, remedy: "Name it as in 50-myapp."))
            throw ExitCode.wrongUsage
        }
        let path = directory.appending(fileName)
        do throws(Errno) {
            let text = try readWholeFile(try ShippedHooks.ofThisProgram().template(kind))
            _ = mkdir(directory.string, 0o755)
            let file = try openDescriptor(
                path, .writeOnly, options: [.create, .exclusiveCreate, .noFollow], permissions: .ownerReadWrite)
            defer { try? file.close() }
            try writeAll(text, to: file)
            guard fchmod(file.rawValue, 0o755) == 0 else { throw Errno(rawValue: errno) }
        } catch {
            throw HookNotWritten(
                subject: path.escaped, problem: "it cannot be written: \(error)",
                remedy: error == .fileExists ? "Choose another name, or remove it." : nil)
        }
        try output.write(
            Document(hook: fileName, path: path.escaped, kind: kind.rawValue),
            orLines: [
                "\(path.escaped) is written, a template. Backups fail until you edit or remove it.",
                "Edit it, and then rehearse it: quiescectl hooks run \(fileName)",
            ].flatMap { $0.wrapped(to: TextLayout.width, indentation: 2) })
    }

    /// Why a file of that name would be no hook, or one that is hard to handle.
    private static func problem(with name: String) -> String? {
        let isPlain = name.utf8.allSatisfy { byte in
            let character = Character(Unicode.Scalar(byte))
            return character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
        }
        if name.isEmpty || !isPlain { return "a hook's name has letters, digits, and - _ . only" }
        let prefix = name.prefix(3)
        guard prefix.count == 3, prefix.hasSuffix("-"), prefix.dropLast().allSatisfy(\.isNumber) else {
            return "two digits and a hyphen, which give the order of the hooks, are missing before the name"
        }
        if HookDirectory.isIgnored(name) { return "a file of that name is no hook: it is passed over" }
        return nil
    }
}

private struct HookNotWritten: ActionableError {
    let subject: String
    let problem: String
    let remedy: String?
}
