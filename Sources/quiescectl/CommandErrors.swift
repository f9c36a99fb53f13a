import FreezeCore
import Glibc
import Presentation
import SystemPackage

/// Writes an error where errors belong, in the form all commands share.
func printError(_ error: any ActionableError) {
    printError("quiescectl: \("\(error)".asSentence)")
}

/// Writes one message, in its own lines; those that are too long for a terminal are broken there, but not in logs.
func printError(_ text: String) {
    let isOnTerminal = isatty(STDERR_FILENO) == 1
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).flatMap { line in
        isOnTerminal && line.displayWidth > TextLayout.width
            ? line.wrapped(to: TextLayout.width, indentation: 4) : [String(line)]
    }
    printErrorLines(lines)
}

/// Writes lines as they are.
func printErrorLines(_ lines: [String]) {
    // If standard error is gone there is nobody left to tell.
    _ = try? FileDescriptor.standardError.writeAll(lines.map { $0 + "\n" }.joined().utf8)
}

/// What only root can do.
struct RootNeeded: ActionableError {
    /// The command's name.
    let subject: String

    var problem: String { "it needs root, to see and to do what the daemon does" }
    var remedy: String? { "Run as root: sudo quiescectl \(subject)" }

    static var isMissing: Bool { geteuid() != 0 }

    /// - Throws: `RootNeeded` for everybody but root.
    static func require(for command: String) throws(RootNeeded) {
        if isMissing { throw RootNeeded(subject: command) }
    }
}
