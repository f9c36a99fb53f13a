import CSystemd
import Glibc
import Logging

/// Writes each record to systemd's journal, with its metadata as fields to search by.
///
/// `log` may block, as long as the journal does not read: whoever must not wait calls it on a thread of its own. The
/// journal may even wait for what this program is to thaw, so nothing that thaws may log before it has thawed.
struct JournalLogHandler: LogHandler {
    var logLevel = Logger.Level.info
    var metadata = Logger.Metadata()
    private let send: @Sendable ([JournalField]) -> Bool
    private let fallback: any LogHandler

    init() {
        self.init(send: sendToJournal, fallback: PrefixedLogHandler())
    }

    /// - Parameters:
    ///   - send: Whether the journal has taken the record.
    ///   - fallback: What writes a record that the journal has not taken.
    init(send: @escaping @Sendable ([JournalField]) -> Bool, fallback: any LogHandler) {
        self.send = send
        self.fallback = fallback
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { _, ofThisRecord in ofThisRecord }
        if !send(JournalField.fields(of: event, metadata: all)) { fallback.log(event: event) }
    }
}

/// libsystemd opens a socket for the first record and keeps it; that opens no path (P7), sending looks one up.
@Sendable private func sendToJournal(_ fields: [JournalField]) -> Bool {
    var text: [UInt8] = []
    let ranges = fields.map { field in
        let start = text.count
        text += field.bytes
        return start..<text.count
    }
    return text.withUnsafeMutableBytes { text in
        let vectors = ranges.map { range in
            iovec(iov_base: text.baseAddress.map { $0 + range.lowerBound }, iov_len: range.count)
        }
        return sd_journal_sendv(vectors, CInt(vectors.count)) == 0
    }
}
