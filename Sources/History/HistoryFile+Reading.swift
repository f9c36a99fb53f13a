import FreezeCore
import LinuxCalls
import SystemPackage

/// Some of the history.
public struct HistoryPage: Sendable, Hashable {
    /// The newest first.
    public let records: [RequestRecord]
    /// Lines that were met and are not a record: torn by a crash, edited, or written by a newer version.
    public let unreadableLines: Int
}

/// One record of the history, if there is it.
public struct HistoryMatch: Sendable, Hashable {
    public let record: RequestRecord?
    /// Lines that were met on the way and are not a record: torn by a crash, edited, or written by a newer version.
    public let unreadableLines: Int
}

extension HistoryFile {
    /// The newest records; all of them without a limit. None if there is no file yet.
    public func records(limit: Int = .max) throws(HistoryError) -> HistoryPage {
        try search(limit: limit) { _ in true }
    }

    /// The newest record.
    public func last() throws(HistoryError) -> HistoryMatch {
        let page = try search(limit: 1) { _ in true }
        return HistoryMatch(record: page.records.first, unreadableLines: page.unreadableLines)
    }

    /// The newest record of a backup that succeeded.
    public func lastGood() throws(HistoryError) -> HistoryMatch {
        let page = try search(limit: 1, where: \.isGoodBackup)
        return HistoryMatch(record: page.records.first, unreadableLines: page.unreadableLines)
    }

    /// The newest requests that decide the state of the backups: at most as many records are read as a history keeps.
    public func recentRequests() throws(HistoryError) -> RecentRequests {
        var recent = RecentRequests()
        var unread = Limits().records
        let page = try search(limit: 1) { record in
            recent.add(older: record)
            unread -= 1
            return recent.isComplete || unread <= 0
        }
        recent.isPartlyUnknown = page.unreadableLines > 0
        return recent
    }

    /// The newest record of a request.
    public func record(id: String) throws(HistoryError) -> HistoryMatch {
        let page = try search(limit: 1) { $0.id.text == id }
        return HistoryMatch(record: page.records.first, unreadableLines: page.unreadableLines)
    }

    /// Held records are newer than all others.
    private func search(
        limit: Int, where matches: (RequestRecord) -> Bool
    ) throws(HistoryError) -> HistoryPage {
        let held =
            try held?.searchFile(limit: limit, where: matches) ?? HistoryPage(records: [], unreadableLines: 0)
        guard held.records.count < limit else { return held }
        let known = Set(held.records.map(\.id.text))
        let written = try searchFile(limit: limit == .max ? limit : limit - held.records.count) {
            !known.contains($0.id.text) && matches($0)
        }
        return HistoryPage(
            records: held.records + written.records,
            unreadableLines: held.unreadableLines + written.unreadableLines)
    }

    func searchFile(
        limit: Int, where matches: (RequestRecord) -> Bool
    ) throws(HistoryError) -> HistoryPage {
        var records: [RequestRecord] = []
        var unreadable = 0
        do throws(Errno) {
            let descriptor: FileDescriptor
            do throws(Errno) {
                // Non-blocking: a fifo in its place must not hang the reader.
                descriptor = try openDescriptor(path, .readOnly, options: [.noFollow, .nonBlocking])
            } catch {
                // Nothing has been recorded yet.
                guard error == .noSuchFileOrDirectory else { throw error }
                return HistoryPage(records: [], unreadableLines: 0)
            }
            defer { try? descriptor.close() }
            var reader = ReverseLineReader(descriptor, size: try regularFileSize(descriptor))
            while records.count < limit, let line = try reader.next() {
                guard case .line(let bytes) = line, let record = try? RequestRecord(line: bytes) else {
                    unreadable += 1
                    continue
                }
                if matches(record) { records.append(record) }
            }
        } catch {
            throw HistoryError(
                .unreadable, path, "the history cannot be read",
                remedy: HistoryError.remedy(for: error, path), underlyingError: error)
        }
        return HistoryPage(records: records, unreadableLines: unreadable)
    }
}
