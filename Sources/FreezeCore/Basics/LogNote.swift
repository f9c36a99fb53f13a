/// Something worth a log line. Nobody but the coordinator logs: while anything is frozen nothing may be written (P7),
/// and only it knows when that is.
public struct LogNote: Hashable, Sendable {
    public enum Level: String, Hashable, Sendable {
        case debug
        case info
        case warning
        case error
    }

    public let level: Level
    /// One line, safe to show.
    public let message: String

    public init(_ level: Level, _ message: String) {
        self.level = level
        // It may quote a name in a filesystem, or what a hook wrote.
        self.message = escapedControlCharacters(message)
    }
}
