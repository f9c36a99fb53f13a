import FreezeCore
import FreezerProtocol
import Glibc
import History
import Hooks
import Ledger
import LinuxCalls
import SystemPackage

/// After the last thaw: session hooks let go; after the last thaw hook: the record, and letting go of everything.
extension Coordinator {
    func releaseSessions(timeout: Duration) {
        for session in resources?.sessions.values.map(\.self) ?? [] { session.release(within: timeout) }
    }

    func write(_ record: RequestRecord) {
        let history = history
        let written = HistoryRecord(record, clock: .current())
        let mailbox = mailbox
        let isLeftover = leftoverLedger?.requestID == record.id.text
        if !isLeftover { remember(written) }
        unwritten.append(written)
        log(LogNote(summary: record))
        historyQueue.add(.writes) {
            // A hook that cannot be called for thaw keeps the ledger: then an earlier start has recorded the request.
            let isNews = isLeftover && !Self.isKnown(written.id, in: history)
            do throws(HistoryError) {
                if isNews || !isLeftover { try history.append(written) }
            } catch {
                mailbox.post(.note(LogNote(.error, "\(error)")))
            }
            mailbox.post(.recorded(written, isNews: isNews))
        }
    }

    /// Whether the record of a request that a previous instance left is among the newest.
    private static func isKnown(_ id: String, in history: HistoryFile) -> Bool {
        let newest = try? history.records(limit: 10).records
        return newest?.contains { $0.id == id } == true
    }

    func recorded(_ record: HistoryRecord, isNews: Bool) {
        unwritten.removeAll { $0.id == record.id }
        if isNews { remember(record) }
    }

    // MARK: Records that the state directory's filesystem did not let through

    /// At the end of the daemon: the run directory is never frozen.
    func keepUnwritten() {
        for record in unwritten {
            do throws(HistoryError) {
                try heldHistory.append(record)
            } catch {
                log(LogNote(.error, "\(error)"))
            }
        }
    }

    /// At the start, once files may be written.
    func writeHeldRecords() {
        let (history, heldHistory) = (history, heldHistory)
        let mailbox = mailbox
        historyQueue.add(.writes) {
            do throws(HistoryError) {
                let held = try heldHistory.records().records
                for record in held.reversed() where !Self.isKnown(record.id, in: history) {
                    try history.append(record)
                    mailbox.post(.recorded(record, isNews: true))
                }
                unlink(heldHistory.path.string)
            } catch {
                mailbox.post(.note(LogNote(.error, "\(error)")))
            }
        }
    }

    /// A ledger that still owes a hook its thaw is kept, for the next start or until the next request.
    func release() {
        for ledger in [resources?.ledger, leftoverLedger].compactMap(\.self) where ledger.hooksOwedThaw.isEmpty {
            runDirectory.remove(ledger)
        }
        resources = nil
        leftoverLedger = nil
        command(.release)
    }
}
