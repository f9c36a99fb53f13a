import Logging

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
