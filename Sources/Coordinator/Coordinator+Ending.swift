import FreezeCore
import FreezerProtocol
import History
import Ledger
import LinuxCalls
import SystemPackage

/// After the last thaw hook: the record, and letting go of everything.
extension Coordinator {
    func write(_ record: RequestRecord) {
        let history = history
        let written = HistoryRecord(record, clock: .current())
        let mailbox = mailbox
        remember(written)
        log(LogNote(summary: record))
        historyWriter.add {
            do {
                try history.append(written)
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
