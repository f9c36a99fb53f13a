import SystemPackage

/// Something worth a log line. Nobody but the coordinator logs: while anything is frozen nothing may be written (P7),
/// and only it knows when that is.
public struct LogNote: Hashable, Sendable {
    public enum Level: String, Hashable, Sendable {
        case debug
        case info
        case warning
        case error
    }

    /// What a note is about, to be searched by. Named as the log's metadata.
    public enum Field: String, Hashable, Sendable, CaseIterable {
        case messageID = "message_id"
        case requestID = "request_id"
        case channel
        /// A mount point.
        case filesystem
        case hook
        /// The consistency level.
        case level
        /// Fields of a process that holds up a freeze: process id, name, user id, and written file.
        case processID = "process_id"
        case command
        case userID = "user_id"
        case file
    }

    public let level: Level
    /// One line, safe to show.
    public let message: String
    public let fields: [Field: String]

    public init(_ level: Level, _ message: String, _ fields: [Field: String] = [:]) {
        self.level = level
        // It may quote a name in a filesystem, or what a hook wrote.
        self.message = escapedControlCharacters(message)
        self.fields = fields.mapValues { escapedControlCharacters($0) }
    }
}
