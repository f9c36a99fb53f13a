import FreezeCore

extension LogNote {
    /// One line for the log on how a request ended.
    init(summary record: RequestRecord) {
        let frozen = record.filesystems.count { $0.freeze?.error == nil && $0.freeze != nil }
        let window =
            if let opened = record.windowOpened, let closed = record.windowClosed {
                DurationText.text(closed - opened)
            } else {
                "no time"
            }
        switch record.result {
        case .succeeded:
            let detail = record.reason.map { " (\($0))" } ?? ""
            self.init(
                .info,
                "request \(record.id) of \(record.channel) succeeded: \(frozen) filesystems frozen for "
                    + "\(window), level \(record.level?.rawValue ?? "?")\(detail)")
        case .failed:
            self.init(
                .error, "request \(record.id) of \(record.channel) failed: \(record.reason ?? "unknown reason")")
        }
    }
}
