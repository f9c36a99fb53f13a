import FreezeCore
import FreezerProtocol
import History
import Hooks
import LinuxCalls
import SystemPackage

/// After the last thaw: session hooks let go; after the last thaw hook: the record, and letting go of everything.
extension Coordinator {
    func releaseSessions(timeout: Duration) {
        for session in resources?.sessions.values.map(\.self) ?? [] { session.release(within: timeout) }
    }

    func write(_ record: RequestRecord) {
        let history = history
        let mailbox = mailbox
        let isLeftover = leftoverLedger?.requestID == record.id.text
        if !isLeftover { remember(record) }
        // A leftover request is the newest request, too: no request has overwritten its ledger.
        recentRequests.add(newer: record)
        log(LogNote(summary: record))
        // While a filesystem is stuck, the history's filesystem may be stuck: `show` also finds held records.
        let isHeld = machine.mayFileWriteHang
        historyQueue.add(isHeld ? .reads : .writes) {
            defer { mailbox.post(.recorded) }
            do throws(HistoryError) {
                if isLeftover {
                    // A hook that cannot be called for thaw keeps the ledger: then an earlier start has recorded the
                    // request.
                    let newest = try? history.records(limit: 10).records
                    if newest?.contains(where: { $0.id.text == escapedControlCharacters(record.id.text) }) == true
                    {
                        return
                    }
                    mailbox.post(.recorded(record))
                }
                if isHeld { try history.hold(record) } else { try history.append(record) }
            } catch {
                mailbox.post(.note(LogNote(.error, "\(error)")))
            }
        }
    }

    func keep(_ attention: [Attention]) {
        let (file, mailbox) = (attentionFile, mailbox)
        let isHeld = machine.mayFileWriteHang
        historyQueue.add(isHeld ? .reads : .writes) {
            do throws(HistoryError) {
                try file.write(attention, isHeld: isHeld)
            } catch {
                mailbox.post(.note(LogNote(.error, "\(error)")))
            }
        }
    }

    /// In the run directory, on a tmpfs.
    func keepLost(_ channels: [ChannelID: String]) {
        do throws(Errno) {
            try runDirectory.keepLost(channels)
        } catch {
            log(LogNote(.error, "\(runDirectory.path): the lost windows cannot be kept for a restart: \(error)"))
        }
    }

    /// Once files may be written to.
    func writeHeldRecords() {
        let (history, attentionFile, mailbox) = (history, attentionFile, mailbox)
        historyQueue.add(.writes) {
            do throws(HistoryError) {
                try history.writeHeld()
            } catch {
                mailbox.post(.note(LogNote(.error, "\(error)")))
            }
            do throws(HistoryError) {
                try attentionFile.writeHeld()
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
        // A flush that still hangs keeps the object: see OpenedRequest.withdraw.
        resources?.opened = nil
        resources = nil
        leftoverLedger = nil
        command(.release)
    }
}
