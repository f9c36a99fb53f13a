import FreezeCore
import LinuxCalls
import Presentation
import SystemPackage

/// What stands below the table.
extension Timeline {
    private static let itemsInSection = 10

    /// An item of a section: indented by two, its other lines by four.
    private func item(_ text: String) -> [String] {
        style.safe(text).wrapped(to: TextLayout.width - 2, indentation: 2).map { "  " + $0 }
    }

    private func paragraph(_ text: String) -> [String] {
        style.safe(text).wrapped(to: TextLayout.width, indentation: 2)
    }

    private func section(_ title: String, _ items: [String]) -> [String] {
        guard !items.isEmpty else { return [] }
        var lines = [title] + items.prefix(Self.itemsInSection).flatMap(item)
        if items.count > Self.itemsInSection {
            lines.append("  \(style.ellipsis) and \(items.count - Self.itemsInSection) more")
        }
        return lines
    }

    /// Every step that failed, with its whole name.
    var failures: [String] {
        var items: [String] = []
        func add(_ what: String, _ mountPoint: String, _ error: Errno?) {
            if let error { items.append("\(what) \(mountPoint): \(error.symbolicName), \(error)") }
        }
        for filesystem in record.filesystems where filesystem.hasFailed {
            let mountPoint = filesystem.mountPoint.escaped
            for flush in filesystem.flushes { add("flush", mountPoint, flush.error) }
            add("freeze", mountPoint, filesystem.freeze?.error)
            add("thaw", mountPoint, filesystem.thaw?.error)
            if filesystem.isStuck {
                items.append(
                    "\(mountPoint): the kernel had not come back from "
                        + (filesystem.freeze == nil ? "freezing" : "thawing")
                        + " it when this was written; see the log of quiesced")
            }
            for holder in filesystem.holders {
                items.append("\(mountPoint): \(holder.description). \(holder.remedy)")
            }
        }
        for hook in record.hooks {
            if let failure = hook.outcome.failureClause {
                items.append("hook \(hook.name) \(hook.phase.rawValue) \(failure)")
            }
        }
        return section("Failures:", items)
    }

    /// What failed hooks wrote, from the beginning and the end.
    var hookOutput: [String] {
        let failed = record.hooks.filter { !$0.outcome.succeeded && !$0.output.isEmpty }
        return Array(
            failed.prefix(5).map { hook in
                let note = hook.isOutputTruncated ? " (its end)" : ""
                let title = style.shortened(
                    "Output of \(style.safe(hook.name)) \(hook.phase.rawValue)",
                    to: TextLayout.width - note.count - 1)
                return [title + note + ":"] + excerpt(hook.output)
            }.joined(separator: [""]))
    }

    private func excerpt(_ output: String) -> [String] {
        let lines = output.split(whereSeparator: \.isNewline).map { line in
            let text = style.safe(
                line.split(separator: "\t", omittingEmptySubsequences: false).joined(separator: "    "))
            return "    " + style.truncated(text, to: TextLayout.width - 4)
        }
        guard lines.count > Self.itemsInSection else { return lines }
        let left = lines.count - Self.itemsInSection + 1
        return lines.prefix(4) + ["    \(style.ellipsis) (\(left) lines)"] + lines.suffix(Self.itemsInSection - 5)
    }

    var refusedHooks: [String] {
        section("Refused hooks:", record.refusedHooks.map { "\($0.name): \($0.refusal ?? "not trusted")" })
    }

    /// What a dry run left undone.
    var dryRunLists: [String] {
        guard record.isDryRun else { return [] }
        let filesystems = record.filesystems.filter { $0.action == .freeze }.map(\.mountPoint.escaped)
        return section("Would freeze:", filesystems) + section("Would call:", record.listedHooks)
    }

    /// Planned, and not even tried.
    var notFrozen: [String] {
        guard record.result == .failed, !record.isDryRun, record.options.freezes else { return [] }
        let left = record.filesystems.filter { $0.action == .freeze && $0.freeze == nil && !$0.isStuck }
        guard !left.isEmpty else { return [] }
        return paragraph("Not frozen, because it had failed before: " + names(left))
    }

    var synced: [String] {
        record.options.freezes ? section("Synced only:", summarized(.sync)) : []
    }

    var unreachable: [String] {
        section(
            "In no mount table, so not frozen:", record.unreachable.map(\.summary))
    }

    var skipped: [String] {
        section("Skipped:", summarized(.skip))
    }

    var omission: [String] {
        guard let omitted = record.omitted else { return [] }
        let filesystems = counted(omitted.filesystems, "filesystem")
        return paragraph("Left out of the record: \(filesystems), \(counted(omitted.hooks, "hook call")).")
    }

    /// One item for each reason, the most frequent first.
    private func summarized(_ action: FilesystemAction) -> [String] {
        var order: [String] = []
        var byReason: [String: [FilesystemRecord]] = [:]
        for filesystem in record.filesystems where filesystem.action == action {
            if byReason[filesystem.reason] == nil { order.append(filesystem.reason) }
            byReason[filesystem.reason, default: []].append(filesystem)
        }
        let counted = order.enumerated().map {
            (index: $0.offset, reason: $0.element, all: byReason[$0.element] ?? [])
        }
        return counted.sorted { ($0.all.count, $1.index) > ($1.all.count, $0.index) }
            .map { "\(names($0.all)): \($0.reason)" }
    }

    private func names(_ filesystems: [FilesystemRecord]) -> String {
        let shown = filesystems.prefix(4).map(\.mountPoint.escaped).joined(separator: ", ")
        return filesystems.count > 4 ? "\(shown) and \(filesystems.count - 4) more" : shown
    }
}
