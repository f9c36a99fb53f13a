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
        case .succeeded where record.isDryRun:
            let counts = FilesystemAction.allCases.map { action in
                "\(record.filesystems.count { $0.planned.action == action }) to \(action.rawValue)"
            }
            let hooks = record.listedHooks.isEmpty ? "none" : record.listedHooks.joined(separator: ", ")
            self.init(
                .info,
                "request \(record.id) of \(record.channel) was rehearsed (dry run): \(counts.joined(separator: ", ")); "
                    + "hooks: \(hooks)")
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
