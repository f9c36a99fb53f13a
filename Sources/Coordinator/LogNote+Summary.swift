import FreezeCore
import SystemPackage

extension LogNote {
    /// One line for the log on how a request ended.
    init(summary record: RequestRecord) {
        let name = "request \(record.id) of \(record.channel)"
        switch record.result {
        case .succeeded where record.isDryRun:
            self.init(.info, "\(name) was a dry run: \(Self.dryRunDetails(record))", record.fields)
        case .succeeded where !record.options.freezes:
            self.init(.info, "\(name) succeeded: hooks were called, and nothing was frozen", record.fields)
        case .succeeded:
            let frozen = record.filesystems.count { $0.freeze?.error == nil && $0.freeze != nil }
            let hooks = record.level == .application ? record.workingHooks : []
            let details = [
                record.options.purpose,
                hooks.isEmpty ? nil : "hooks: " + hooks.joined(separator: ", "), record.reason,
            ]
            let detail = details.compactMap(\.self).joined(separator: "; ")
            self.init(
                .info,
                "\(name) succeeded: \(frozen) \(frozen == 1 ? "filesystem" : "filesystems") frozen for "
                    + "\(Self.window(record)), level \(record.level?.rawValue ?? "?")"
                    + (detail.isEmpty ? "" : " (\(detail))"), record.fields)
        case .failed:
            self.init(.error, "\(name) failed: \(record.reason ?? "unknown reason")", record.fields)
        }
    }

    private static func window(_ record: RequestRecord) -> String {
        record.window.map { DurationText.text($0) } ?? "no time"
    }

    private static func dryRunDetails(_ record: RequestRecord) -> String {
        let counts = FilesystemAction.allCases.map { action in
            "\(record.filesystems.count { $0.action == action }) to \(action.rawValue)"
        }
        let hooks = record.listedHooks.isEmpty ? "none" : record.listedHooks.joined(separator: ", ")
        return "\(counts.joined(separator: ", ")); hooks: \(hooks)"
    }
}

extension RequestRecord {
    /// What an admin's alert looks for.
    fileprivate var fields: [LogNote.Field: String] {
        var fields: [LogNote.Field: String] = [.requestID: id.text, .channel: channel.name]
        fields[.messageID] = messageID?.rawValue
        fields[.level] = level?.rawValue
        switch subject {
        case .filesystem(let mountPoint): fields[.filesystem] = mountPoint.string
        case .hook(let name): fields[.hook] = name
        case nil: break
        }
        return fields
    }

    private var messageID: MessageID? {
        if result == .succeeded { return isGoodBackup ? .backupSucceeded : nil }
        // Another agent, or the owner of a selection, has no backup either.
        return isDryRun || options.isRehearsal ? nil : .backupFailed
    }
}
