import FoundationEssentials
import FreezeCore
import History

/// The report as JSON that fits into a record of a pool.
///
/// Lists and reasons are shortened until the text fits. `omitted` counts the missing entries and characters.
struct StateSummary: Encodable {
    /// Hosts cut at 1,022 UTF-16 units, and a record holds 2,047 bytes and the zero byte.
    static let unitLimit = 1021
    static let byteLimit = 2046
    /// The longest name in a list, in bytes.
    private static let nameLimit = 128
    /// The longest of the other texts, except the reason.
    private static let wordLimit = 48
    private static let listLimit = 64

    private struct Last: Encodable {
        let id: String
        let channel: String
        let ended: WallTime
        /// `succeeded`, `failed`, or `lost`: failed after FREEZE was answered with success.
        let result: String
        let level: String?
        let purpose: String?
        let reason: String?
        let windowMilliseconds: Int64?

        enum CodingKeys: String, CodingKey {
            case id, channel, ended, result, level, purpose, reason
            case windowMilliseconds = "window_ms"
        }
    }

    private struct LastGood: Encodable {
        let id: String
        let ended: WallTime
        /// At the time of the summary.
        let age: Int64
        let level: String?
        let leftOut: [String]?

        enum CodingKeys: String, CodingKey {
            case id, ended, level
            case age = "age_s"
            case leftOut = "left_out"
        }
    }

    private struct Omitted: Encodable {
        var attention: Int?
        var leftOut: Int?
        var reasonCharacters: Int?

        enum CodingKeys: String, CodingKey {
            case attention
            case leftOut = "left_out"
            case reasonCharacters = "reason_characters"
        }

        var isEmpty: Bool { attention == nil && leftOut == nil && reasonCharacters == nil }
    }

    /// The numbers of entries and characters that fit.
    private struct Extent {
        var leftOut: Int
        var reason: Int
        var attention: Int
    }

    private let format = 1
    private let state: String
    private let time: WallTime
    private let bootID: String
    private let version: String
    private let daemon: String
    private let why: [String]?
    private let last: Last?
    private let lastGood: LastGood?
    private let attention: [String]?
    private let omitted: Omitted?

    private enum CodingKeys: String, CodingKey {
        case format, state, time, version, daemon, why, last, attention, omitted
        case bootID = "boot_id"
        case lastGood = "last_good"
    }

    /// Shortens `left_out` first, because the reason has the number of filesystems that were left out, too.
    static func text(_ report: StateReport, bootID: String, version: String = Version.current) -> String {
        var extent = Extent(
            leftOut: min(report.requests.lastGood?.leftOut.count ?? 0, listLimit),
            reason: min(report.requests.last?.reason?.unicodeScalars.count ?? 0, byteLimit),
            attention: min(report.attention.count, listLimit))
        func text(_ extent: Extent) -> String { StateSummary(report, bootID, version, extent).text }
        for part in [\Extent.leftOut, \.reason, \.attention] {
            if fits(text(extent)) { break }
            extent[keyPath: part] = largest(below: extent[keyPath: part]) { size in
                var shorter = extent
                shorter[keyPath: part] = size
                return fits(text(shorter))
            }
        }
        return text(extent)
    }

    private static func fits(_ text: String) -> Bool {
        text.utf16.count <= unitLimit && text.utf8.count <= byteLimit
    }

    /// The largest number below the limit that fits; 0 if none does.
    private static func largest(below limit: Int, _ fits: (Int) -> Bool) -> Int {
        var (least, most) = (0, limit)
        while most - least > 1 {
            let middle = (least + most) / 2
            if fits(middle) { least = middle } else { most = middle }
        }
        return least
    }

    private init(_ report: StateReport, _ bootID: String, _ version: String, _ extent: Extent) {
        var omitted = Omitted()
        let (last, good) = (report.requests.last, report.requests.lastGood)
        let leftOut = (good?.leftOut ?? []).prefix(extent.leftOut).map { $0.cut(to: Self.nameLimit) }
        if let all = good?.leftOut.count, all > leftOut.count { omitted.leftOut = all - leftOut.count }
        let reason = last?.reason.map { String($0.unicodeScalars.prefix(extent.reason)) }
        if let all = last?.reason?.unicodeScalars.count, all > extent.reason {
            omitted.reasonCharacters = all - extent.reason
        }
        let hooks = report.attention.prefix(extent.attention).map { $0.cut(to: Self.nameLimit) }
        if report.attention.count > hooks.count { omitted.attention = report.attention.count - hooks.count }
        state = report.state.rawValue
        time = report.time
        self.bootID = bootID.cut(to: Self.wordLimit)
        self.version = version.cut(to: Self.wordLimit)
        daemon = report.daemon.rawValue
        why = report.causes.isEmpty ? nil : report.causes
        self.last = last.map { last in
            Last(
                id: last.id.text.cut(to: Self.wordLimit), channel: last.channel.name.cut(to: Self.wordLimit),
                ended: last.ended, result: last.isLost ? "lost" : last.result.rawValue,
                level: last.level?.rawValue, purpose: last.purpose?.cut(to: Self.wordLimit),
                reason: reason?.isEmpty == true ? nil : reason.map(escapedControlCharacters),
                windowMilliseconds: last.window.map { $0.nanoseconds / 1_000_000 })
        }
        lastGood = good.map { good in
            LastGood(
                id: good.id.text.cut(to: Self.wordLimit), ended: good.ended,
                age: max(0, (report.time.milliseconds - good.ended.milliseconds) / 1000),
                level: good.level?.rawValue, leftOut: leftOut.isEmpty ? nil : leftOut)
        }
        attention = hooks.isEmpty ? nil : hooks
        self.omitted = omitted.isEmpty ? nil : omitted
    }

    private var text: String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The encoder does not throw for strings and numbers.
        return (try? encoder.encode(self)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    }
}

extension String {
    /// Cut at a character to the number of bytes, with control characters escaped.
    fileprivate func cut(to limit: Int) -> String {
        var result = ""
        var count = 0
        for scalar in escapedControlCharacters(String(unicodeScalars.prefix(limit))).unicodeScalars {
            count += String(scalar).utf8.count
            if count > limit { return result + "…" }
            result.unicodeScalars.append(scalar)
        }
        return unicodeScalars.count > limit ? result + "…" : result
    }
}
