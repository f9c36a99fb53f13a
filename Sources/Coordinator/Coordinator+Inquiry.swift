import FreezeCore
import History
import LinuxCalls
import SystemPackage

/// The inquiries that the daemon answers at any moment, frozen or not (P9).
extension Coordinator {
    /// Requests the status, which the coordinator's thread replies at once. Does not block.
    public var statusInquiry: @Sendable (@escaping @Sendable (DaemonStatus) -> Void) -> Void {
        let mailbox = mailbox
        return { reply in mailbox.post(.statusAsked(reply)) }
    }

    /// Requests the newest records, which a separate thread replies. The reply waits while anything is frozen, because
    /// the history is a file (P7).
    public var historyInquiry: @Sendable (Int, @escaping @Sendable (HistoryAnswer) -> Void) -> Void {
        let mailbox = mailbox
        return { limit, reply in mailbox.post(.historyAsked(limit: limit, reply)) }
    }

    var status: DaemonStatus {
        DaemonStatus(
            overview: machine.overview, started: started, isFreezerReady: machine.isFreezerReady,
            channels: channels.compactMap(\.names.first).map { name in
                channelStates[name]
                    ?? DaemonStatus.Channel(name: name, state: "not registered", isRegistered: false)
            }, last: last, lastGood: lastGood)
    }

    func readHistory(_ limit: Int, _ reply: @escaping @Sendable (HistoryAnswer) -> Void) {
        let history = history
        historyQueue.add(.reads) {
            do throws(HistoryError) {
                reply(.success(try history.records(limit: limit).records))
            } catch {
                reply(.failure(error))
            }
        }
    }

    // MARK: The last requests

    /// At the start. What cannot be read is no reason not to serve: `check` says it.
    func readLastRequests() {
        let (history, attentionFile, mailbox) = (history, attentionFile, mailbox)
        let isPublishing = publishing != nil
        historyQueue.add(.reads) {
            var isAttentionKnown = true
            do throws(HistoryError) {
                let attention = try attentionFile.read()
                if !attention.isEmpty { mailbox.post(.attentionRecalled(attention)) }
            } catch {
                isAttentionKnown = false
                mailbox.post(.note(LogNote(.warning, "\(error)")))
            }
            let last = (try? history.last())?.record
            let lastGood = (try? history.lastGood())?.record
            var recent = isPublishing ? (try? history.recentRequests()) ?? RecentRequests() : RecentRequests()
            if !isAttentionKnown { recent.isPartlyUnknown = true }
            let now = WallClock.current()
            mailbox.post(
                .lastRequestsRead(
                    last: last?.withoutDetails(fromFileAt: now),
                    lastGood: lastGood?.withoutDetails(fromFileAt: now), recent))
        }
    }

    /// What has ended meanwhile is newer.
    func lastRequestsRead(_ last: RequestRecord?, _ lastGood: RequestRecord?, _ recent: RecentRequests) {
        recentRequests.add(older: recent)
        self.last = self.last ?? last
        self.lastGood = self.lastGood ?? lastGood
    }

    func remember(_ record: RequestRecord) {
        last = record.withoutDetails()
        if record.isGoodBackup { lastGood = last }
    }
}

public typealias HistoryAnswer = Result<[RequestRecord], HistoryError>
