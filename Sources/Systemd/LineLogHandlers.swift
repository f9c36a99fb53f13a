import FreezeCore
import Logging
import SystemPackage

/// Writes lines to standard error as sd-daemon(3) has them: `<3>` in front of the line is its priority. Whoever reads
/// them adds the time.
struct PrefixedLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        // If standard error is gone too there is nobody left to tell.
        _ = try? FileDescriptor.standardError.writeAll(Self.line(for: event).utf8)
    }

    /// One line, since the priority is the line's.
    static func line(for event: LogEvent) -> String {
        "<\(event.level.priority)>\(escapedControlCharacters("\(event.message)"))\n"
    }
}

/// Writes lines for people to standard error, without the metadata: the message says all that a reader needs.
struct TextLogHandler: LogHandler {
    private var lines: StreamLogHandler

    init(label: String) {
        lines = .standardError(label: label)
    }

    var logLevel: Logger.Level {
        get { lines.logLevel }
        set { lines.logLevel = newValue }
    }
    var metadata = Logger.Metadata()

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        var event = event
        event.metadata = nil
        lines.log(event: event)
    }
}
