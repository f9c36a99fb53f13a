import FreezeCore

extension LogNote {
    /// One line for the log on how a request ended.
    init(summary record: RequestRecord) {
        let frozen = record.filesystems.count { $0.freeze?.error == nil && $0.freeze != nil }
        let window = zip2(record.windowOpened, record.windowClosed).map { DurationText.text($1 - $0) }
        switch record.result {
        case .succeeded:
            let detail = record.reason.map { " (\($0))" } ?? ""
            self.init(
                .info,
                "request \(record.id) of \(record.channel) succeeded: \(frozen) filesystems frozen for "
                    + "\(window ?? "?"), level \(record.level?.rawValue ?? "?")\(detail)")
        case .failed:
            self.init(
                .error, "request \(record.id) of \(record.channel) failed: \(record.reason ?? "unknown reason")")
        }
    }
}

private func zip2<First, Second>(_ first: First?, _ second: Second?) -> (First, Second)? {
    guard let first, let second else { return nil }
    return (first, second)
}
