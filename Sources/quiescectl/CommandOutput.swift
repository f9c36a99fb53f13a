import ArgumentParser
import FoundationEssentials
import FreezeCore
import Glibc
import LinuxCalls
import Presentation
import SystemPackage

/// Writes to standard output, at once: neither a pipe's reader nor a full disk is told of it later, or never.
///
/// - Throws: `OutputError`: a reader of half of the output must not see success.
func printText(_ text: String) throws(OutputError) {
    do throws(Errno) {
        try writeAll(Array(text.utf8), to: .standardOutput)
    } catch {
        throw OutputError(errno: error)
    }
}

func printLines(_ lines: [String]) throws(OutputError) {
    try printText(lines.map { $0 + "\n" }.joined())
}

/// Tells what a command has done.
///
/// - Parameter status: How the command went. It is more than whether that can be told.
/// - Returns: The status; instead of success, failure if it cannot be told.
func telling(_ status: ExitCode, _ tell: () throws -> Void) -> ExitCode {
    do {
        try tell()
        return status
    } catch let error as any ActionableError {
        OutputError.endIfBrokenPipe(error)
        printError(error)
    } catch {
        printError("quiescectl: \("\(error)".asSentence)")
    }
    return status == .success ? .failed : status
}

/// What was to be said could not be written.
struct OutputError: ActionableError {
    let errno: Errno

    var subject: String { "standard output" }
    var problem: String { "it cannot be written: \(errno)" }
    var remedy: String? { "Write to another place." }

    /// Ends the program by SIGPIPE, as usual, after the reader of a pipe has ended: `head` is no error. Call when no other
    /// work is left.
    static func endIfBrokenPipe(_ error: any Error) {
        guard (error as? OutputError)?.errno == .brokenPipe else { return }
        signal(SIGPIPE, SIG_DFL)
        raise(SIGPIPE)
    }
}

/// `--json`, as every command that prints data has it.
struct OutputOption: ParsableArguments {
    @Flag(help: "Print JSON, for programs.")
    var json = false

    /// Prints the document as JSON if that was asked for, else the lines.
    func write(_ document: some Encodable, orLines lines: @autoclosure () -> [String]) throws {
        if json {
            try printText(prettyJSON(document) + "\n")
        } else {
            try printLines(lines())
        }
    }
}

/// Indented, with sorted keys.
func prettyJSON(_ document: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(document), as: UTF8.self)
}

extension TextStyle {
    /// What the locale allows; the variables in the order of locale(7).
    static var ofLocale: TextStyle {
        let values = ["LC_ALL", "LC_CTYPE", "LANG"].compactMap { (name: String) in
            getenv(name).map { String(cString: $0) }
        }
        let locale = values.first { !$0.isEmpty }?.lowercased() ?? "C"
        return locale.contains("utf-8") || locale.contains("utf8") ? .unicode : .ascii
    }
}
