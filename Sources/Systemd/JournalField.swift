import Logging

/// One field of a record in the journal (systemd.journal-fields(7)).
struct JournalField: Equatable {
    let name: String
    let value: String

    /// As sd_journal_sendv(3) takes it. The value may hold anything, newlines too.
    var bytes: [UInt8] { Array("\(name)=\(value)".utf8) }
}

extension JournalField {
    /// The fields of a record, the message first.
    static func fields(of event: LogEvent, metadata: Logger.Metadata) -> [JournalField] {
        [
            JournalField(name: "MESSAGE", value: "\(event.message)"),
            JournalField(name: "PRIORITY", value: "\(event.level.priority)"),
            JournalField(name: "SYSLOG_IDENTIFIER", value: "quiesced"),
        ]
            + metadata.sorted { $0.key < $1.key }.flatMap { key, value in
                value.texts.map { JournalField(name: fieldName(of: key), value: $0) }
            }
    }

    /// The journal drops fields whose names are longer.
    private static let longestName = 64

    /// `message_id` is a field of the journal's own; whatever else we tell has our prefix: `hook` is `QUIESCE_HOOK`.
    /// Only capitals, digits and `_` may be in a name.
    static func fieldName(of metadataKey: String) -> String {
        if metadataKey == "message_id" { return "MESSAGE_ID" }
        let name = metadataKey.uppercased().map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" }
        return String(("QUIESCE_" + name).prefix(longestName))
    }
}

extension Logger.MetadataValue {
    /// A field can be there more than once: several filesystems are several fields.
    fileprivate var texts: [String] {
        switch self {
        case .array(let values): values.flatMap(\.texts)
        case .string, .stringConvertible, .dictionary: [description]
        }
    }
}

extension Logger.Level {
    /// As syslog(3) counts them.
    var priority: Int {
        switch self {
        case .critical: 2
        case .error: 3
        case .warning: 4
        case .notice: 5
        case .info: 6
        case .debug, .trace: 7
        }
    }
}
