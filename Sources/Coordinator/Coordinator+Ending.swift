import FreezeCore
import FreezerProtocol
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
        log(LogNote(summary: record))
        historyWriter.add {
            do {
                if isLeftover {
                    // A hook that cannot be called for thaw keeps the ledger: then an earlier start has told of it.
                    let known = try? history.records(limit: Self.recordsOfLeftover).records
                    if known?.contains(where: { $0.id == written.id }) == true { return }
                    mailbox.post(.recorded(written))
                }
                try history.append(written)
            } catch {
                mailbox.post(.note(LogNote(.error, "\(error)")))
            }
        }
    }

    /// Where the record of a request that an earlier life left would be.
    private static let recordsOfLeftover = 10

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
