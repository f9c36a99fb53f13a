import Glibc
import Logging

/// Where the log goes: what is at the other end of standard error.
public enum LogDestination: Equatable, Sendable {
    /// The journal, over its own socket: records with fields.
    case journal
    /// The journal, which reads standard error line by line, because its socket cannot be reached (a chroot).
    case journalLines
    /// Whoever reads lines: a terminal, a file, a pipe.
    case text

    /// What standard error is connected to now.
    ///
    /// systemd sets `JOURNAL_STREAM` to the device and inode number of the stream that leads to the journal
    /// (systemd.exec(5)). Whoever redirects standard error elsewhere leaves the variable set: the numbers tell.
    public static func detect() -> LogDestination {
        var status = stat()
        let stream = fstat(STDERR_FILENO, &status) == 0 ? "\(status.st_dev):\(status.st_ino)" : nil
        return LogDestination(
            journalStream: getenv("JOURNAL_STREAM").map { String(cString: $0) }, standardError: stream,
            // Where it is missing, sd_journal_sendv(3) drops what it is given and reports success.
            isSocketThere: access("/run/systemd/journal/socket", W_OK) == 0)
    }

    /// - Parameters:
    ///   - journalStream: `JOURNAL_STREAM`, if it is set.
    ///   - standardError: Device and inode number, in the same form; nil if it is closed.
    init(journalStream: String?, standardError: String?, isSocketThere: Bool) {
        guard let journalStream, journalStream == standardError else {
            self = .text
            return
        }
        self = isSocketThere ? .journal : .journalLines
    }

    /// True for a file. The file's filesystem can be frozen.
    public var isFile: Bool {
        var status = stat()
        return self == .text && fstat(STDERR_FILENO, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
    }

    /// Writes there.
    ///
    /// - Parameter label: What text lines are labelled with.
    public func handler(label: String) -> any LogHandler {
        switch self {
        case .journal: JournalLogHandler()
        case .journalLines: PrefixedLogHandler()
        case .text: TextLogHandler(label: label)
        }
    }
}
