import ControlProtocol
import FreezeCore
import History
import Presentation

/// A daemon's status for people.
struct StatusText {
    private let status: ControlStatus

    init(_ status: ControlStatus) {
        self.status = status
    }

    var lines: [String] {
        let request = status.request
        var items: [(label: String, text: String)] = [
            ("State", state),
            ("Request", request.map { "\($0.id) of \($0.channel), begun \(ago($0.age))" } ?? ""),
            (
                "Window",
                request?.windowLeft.map { "ends in \(readableDuration(milliseconds: $0)) at the latest" } ?? ""
            ),
            ("Hook", request?.hook.map { "\($0) is running" } ?? ""),
            ("Failing", request?.failure ?? ""),
            ("STUCK", status.stuck.joined(separator: ", ")),
        ]
        items += (status.holders ?? []).map { ("Held by", holder($0)) }
        items += (status.attention ?? []).map { ("ATTENTION", attention($0)) }
        items += status.lost.map { ("LOST", "\($0.channel): \($0.reason)") }
        items += [
            ("Last good", status.lastGoodBackup.map(backup) ?? "none on record"),
            ("Last", lastIfOther ?? ""),
        ]
        items += status.channels.map { ("Channel", "\($0.name): \($0.state)") }
        items += [
            ("Freezer", status.freezerReady ? "ready" : "not running"),
            ("Daemon", "quiesced \(status.version), process \(status.pid), since \(time(status.started))"),
        ]
        let table = filesystems
        return labelledLines(items.map { ($0, escapedControlCharacters($1)) })
            + (table.isEmpty ? [] : [""] + table)
    }

    private func attention(_ attention: ControlStatus.Attention) -> String {
        "hook \(attention.hook) \(attention.problem) at thaw, \(ago(attention.age)) (\(attention.request)): its application "
            + "may be down. When you have seen to it: quiescectl acknowledge"
    }

    private func holder(_ holder: WriteHolder) -> String {
        let file = (holder.file ?? holder.mountPoint).map { " to \($0.escaped)" } ?? ""
        return "process \(holder.processID) (\(holder.command)) of user \(holder.userID), which sleeps in a "
            + "write\(file). \(holder.remedy)"
    }

    private var state: String {
        let dryRun = status.dryRun ? ", dry run: nothing is ever frozen" : ""
        return "\(status.state.words), \(ago(status.sinceMilliseconds))\(dryRun)"
    }

    private var lastIfOther: String? {
        guard let last = status.lastBackup, last.id != status.lastGoodBackup?.id else { return nil }
        return backup(last)
    }

    private func backup(_ backup: ControlStatus.Backup) -> String {
        let purpose = backup.dryRun == true ? "dry run" : backup.purpose
        let level = backup.level.map {
            levelText(ConsistencyLevel(rawValue: $0), workingHooks: backup.workingHooks ?? [])
        }
        let words =
            backup.result == .succeeded ? [purpose, backup.dryRun == true ? nil : level] : [purpose, "FAILED"]
        let result = words.compactMap(\.self).joined(separator: ", ")
        let reason = backup.reason.map { ": \($0)" } ?? ""
        return
            "\(result), \(ago(backup.age)), through the channel \(backup.channel) (request \(backup.id))\(reason)"
    }

    private var filesystems: [String] {
        TextTable(
            [.init("FILESYSTEM", overflow: .cut), .init("PROGRESS", limit: 10)],
            rows: (status.request?.filesystems ?? []).map {
                [$0.mountPoint, $0.progress].map { escapedControlCharacters($0) }
            }
        ).lines
    }

    private func ago(_ milliseconds: Double) -> String {
        relativeAge(Duration(toldMilliseconds: milliseconds))
    }

    /// `2026-11-21 10:36:45`, in UTC.
    private func time(_ time: WallTime) -> String {
        String(time.description.prefix(19)).replacing("T", with: " ") + " UTC"
    }
}

extension Duration {
    /// Milliseconds that came over a socket: any number at all, where `milliseconds(_:)` would trap. Clamped to 31 years.
    fileprivate init(toldMilliseconds milliseconds: Double) {
        self = .milliseconds(milliseconds.isNaN ? 0 : min(max(milliseconds, -1e12), 1e12))
    }
}
