import SystemPackage

/// What channels send, at any moment.
extension RequestMachine {
    mutating func registered(_ channel: ChannelID, isStandIn: Bool) {
        if isStandIn { standIns.insert(channel) } else { standIns.remove(channel) }
    }

    mutating func hotBackup(_ channel: ChannelID, _ operation: OperationID) {
        if request?.channel == channel, isThawAwaited,
            rules(of: channel).secondFreeze == .losesWindow
        {
            return loseWindow(to: "HOT_BACKUP", channel, operation)
        }
        // After a refusal the host may save or pause the machine instead: problems are only logged.
        answer(channel, operation, .success)
        if state == .idle { emit(.assess(isFreezerReady: isFreezerReady)) }
    }

    mutating func freezeAsked(
        _ channel: ChannelID, _ operation: OperationID, _ id: RequestID, _ options: FreezeOptions,
        _ clock: WallClock
    ) {
        if state == .recovering || state == .stopped || shutdownReason != nil {
            return refuse(channel, operation, "quiesced is \(state == .recovering ? "recovering" : "stopping")")
        }
        guard let request else { return begin(channel, operation, id, options, received: clock) }
        if request.channel == channel, isThawAwaited {
            switch rules(of: channel).secondFreeze {
            case .losesWindow: return loseWindow(to: "FREEZE", channel, operation)
            case .error: return refuse(channel, operation, "request \(request.id) is \(state.rawValue) already")
            case .busy: break
            }
        }
        guard isEndingWindow || state == .thawHooks, request.channel == channel, waiting == nil else {
            return refuse(
                channel, operation, "busy: request \(request.id) of \(request.channel) is \(state.rawValue)", .busy
            )
        }
        let wait = WaitingFreeze(channel: channel, operation: operation, id: id, options: options, received: clock)
        if let limit = waitingLimit(wait), now >= limit {
            return refuse(channel, operation, "it could not be answered in time")
        }
        debts[channel] = nil
        waiting = wait
    }

    mutating func thawAsked(
        _ channel: ChannelID, _ operation: OperationID, _ wish: ThawWish, _ findings: WindowFindings
    ) {
        let isWindowOver = state == .thawHooks && debts[channel] == nil
        if let wanted = wish.request, wanted != request?.id || isWindowOver, wanted != waiting?.id {
            // A holder's own debt knows more.
            if rules(of: channel).endsWindowWithConnection, debts[channel] != nil {
                return answerByDebt(channel, operation)
            }
            let reason = "request \(wanted) is over; what was taken in its window may be torn"
            return answer(
                channel, operation, .failure, AnswerDetail(request: wanted, refusal: .lost, reason: reason))
        }
        if waiting?.channel == channel { refuseWaiting(wish.failure ?? "THAW came before it began") }
        guard let request, state != .thawHooks else { return answerByDebt(channel, operation) }
        guard request.channel == channel else {
            if wish.isForced, rules(of: channel).actsForAdmin { return thawByForce(channel, operation, wish) }
            let isToldOwner = rules(of: channel).thawWithoutWindow == .refusal && debts[channel] == nil
            return isToldOwner
                ? refuseForeign(request, channel, operation) : answerByDebt(channel, operation)
        }
        // A FREEZE whose channel was lost was not answered: the host may take it for anything.
        let isLost = request.wasFrozen || lostChannels[channel] != nil
        let meaning: PendingOperation.Meaning =
            switch state {
            case .frozen, .holding, .rehearsing: wish.failure == nil || findings != .none ? .endsWindow : .harmless
            default: isLost ? .lateThaw : .harmless
            }
        self.request?.pendingOperations.append(
            PendingOperation(channel: channel, operation: operation, meaning: meaning, received: now))
        switch state {
        case .frozen where findings != .none: loseWindow(by: findings)
        case .frozen, .holding, .rehearsing:
            if let failure = wish.failure { return fail(failure) }
            if state == .frozen { beginThaw() } else { closeWindow() }
        case .thawing, .releasing: break
        default: fail(wish.failure ?? "THAW came before everything was frozen")
        }
    }

    /// Ends the request in progress for the admin. The owner's THAW fails with consistency lost, unless a thaw was in
    /// progress already: then the operation waits for the thaw, and a good backup stays good.
    private mutating func thawByForce(_ channel: ChannelID, _ operation: OperationID, _ wish: ThawWish) {
        request?.pendingOperations.append(
            PendingOperation(channel: channel, operation: operation, meaning: .forced, received: now))
        if !isEndingWindow { fail(wish.failure ?? "thawed by hand: quiescectl thaw --force") }
    }

    private mutating func refuseForeign(
        _ request: ActiveRequest, _ channel: ChannelID, _ operation: OperationID
    ) {
        let reason = "request \(request.id) of \(request.channel) is \(state.rawValue), and not yours to end"
        answer(
            channel, operation, .failure,
            AnswerDetail(request: request.id, refusal: .notOwner, reason: reason))
    }

    /// The next THAW fails, too (P3), unless the channel has begun another request.
    mutating func thawUndelivered(_ channel: ChannelID, _ reason: String) {
        let hasBegun = waiting?.channel == channel || request?.channel == channel && state != .thawHooks
        if !hasBegun { owe(channel, .lost(reason: reason)) }
    }

    mutating func channelLost(_ channel: ChannelID, _ reason: String) {
        if waiting?.channel == channel { waiting = nil }
        // The host may have used another agent since: the failure of the last FREEZE is forgotten.
        if debts[channel] == .harmless { debts[channel] = nil }
        request?.pendingOperations.removeAll { $0.channel == channel }
        if let request, request.channel == channel, state != .thawHooks {
            self.request?.freezeOperation = nil
            // The next registration gets the host's THAW for this request. A closed connection never comes back.
            if rules(of: channel).endsWindowWithConnection {
                self.request?.mayThawFollow = false
            } else {
                debts[channel] = .lost(reason: reason)
            }
            fail("the channel was lost: \(reason)")
        }
        if rules(of: channel).endsWindowWithConnection {
            debts[channel] = nil
        }
        if state == .idle || state == .thawHooks { emit(.reopenChannels) }
    }

    mutating func shutdown(_ reason: String) {
        guard shutdownReason == nil else { return }
        shutdownReason = reason
        refuseWaiting(reason)
        if request == nil {
            if state != .recovering { stop() }
        } else {
            fail(reason)
        }
    }

    mutating func stop() {
        state = .stopped
        deadline = nil
        publishLastState()
        emit(.exit)
    }

    // MARK: Answers

    /// The host begins again while everything is frozen for the host: the host has given up the first snapshot.
    private mutating func loseWindow(to name: String, _ channel: ChannelID, _ operation: OperationID) {
        request?.pendingOperations.append(
            PendingOperation(channel: channel, operation: operation, meaning: .startsAnew, received: now))
        fail("the host sent \(name) while everything was frozen for its last request, which is therefore lost")
    }

    private mutating func refuse(
        _ channel: ChannelID, _ operation: OperationID, _ reason: String, _ refusal: AnswerDetail.Refusal = .failed
    ) {
        answer(
            channel, operation, .failure, AnswerDetail(request: request?.id, refusal: refusal, reason: reason))
        // Other callers get the reason with the answer, and can ask any number of times.
        if rules(of: channel).thawWithoutWindow == .failure {
            note(.warning, "FREEZE from \(channel) was answered with failure: \(reason)")
        }
        if debts[channel] == nil, request?.channel != channel { owe(channel, .harmless) }
    }

    /// Remembers the answer to the channel's next THAW.
    mutating func owe(_ channel: ChannelID, _ debt: ThawDebt?) {
        debts[channel] = debt == .harmless && !rules(of: channel).expectsThawAfterFailure ? nil : debt
    }

    private mutating func answerByDebt(_ channel: ChannelID, _ operation: OperationID) {
        switch debts.removeValue(forKey: channel) {
        case .harmless:
            answer(channel, operation, .success)
        case .lost(let reason):
            answer(channel, operation, .failure, AnswerDetail(refusal: .lost, reason: reason))
            note(
                .error, "THAW from \(channel) was answered with failure: \(reason)",
                [.messageID: MessageID.thawedEarly.rawValue, .channel: channel.name])
        case nil: answerWithoutWindow(channel, operation)
        }
    }

    private mutating func answerWithoutWindow(_ channel: ChannelID, _ operation: OperationID) {
        switch rules(of: channel).thawWithoutWindow {
        case .success:
            answer(channel, operation, .success)
        case .refusal:
            answer(
                channel, operation, .failure,
                AnswerDetail(refusal: .nothingFrozen, reason: "quiesced has frozen nothing"))
        case .failure:
            answer(
                channel, operation, .failure,
                AnswerDetail(refusal: .nothingFrozen, reason: "this quiesced has frozen nothing for it"))
            note(
                .error,
                "THAW from \(channel) was answered with failure: this quiesced has frozen nothing for it; if a "
                    + "backup was running when quiesced was restarted, its snapshot may be torn")
        }
    }

    /// A FREEZE that failed says that nothing is left frozen: while the request before is still being thawed, it is
    /// answered at the end of that.
    mutating func refuseWaiting(_ reason: String) {
        guard let waiting else { return }
        self.waiting = nil
        guard state == .thawing else {
            return answerNeverBegan(waiting.channel, waiting.operation, waiting.id, reason)
        }
        request?.pendingOperations.append(
            PendingOperation(
                channel: waiting.channel, operation: waiting.operation,
                meaning: .neverBegan(waiting.id, reason: reason), received: now))
    }

    mutating func answerNeverBegan(
        _ channel: ChannelID, _ operation: OperationID, _ id: RequestID, _ reason: String
    ) {
        answer(channel, operation, .failure, AnswerDetail(request: id, refusal: .failed, reason: reason))
        owe(channel, .harmless)
        note(.warning, "FREEZE from \(channel) was answered with failure: \(reason)")
    }

    /// How long a FREEZE may wait for the thaw hooks before it, so that it can still be answered in time.
    func waitingLimit(_ waiting: WaitingFreeze) -> Moment? {
        rules(of: waiting.channel).freezeAnswerLimit.map { waiting.received.moment + ($0 - policy.longestFreeze) }
    }

    /// When a FREEZE that is still being worked on is given up, so that its failure can be answered in time. Each state
    /// keeps its own budget, but replans and the wait for the request before add to their sum.
    var freezeLimit: Moment? {
        guard let request, request.freezeOperation != nil, request.failure == nil else { return nil }
        let limit = rules(of: request.channel).freezeAnswerLimit
        return limit.map { request.record.started + ($0 - policy.freezeAnswerReserve) }
    }

    /// When an operation that waits for the end of the window is answered with failure.
    func thawLimit(_ pending: PendingOperation) -> Moment? {
        rules(of: pending.channel).thawAnswerLimit.map { pending.received + $0 }
    }

    /// Operations that the thaw did not finish in time for are answered with failure; the thaw goes on.
    mutating func answerOverdueOperations() {
        guard isEndingWindow, let operations = request?.pendingOperations else { return }
        for pending in operations {
            guard let moment = thawLimit(pending), now >= moment else { continue }
            let limit = DurationText.text(moment - pending.received)
            request?.pendingOperations.removeAll { $0 == pending }
            fail(
                state == .releasing
                    ? "releasing session hooks took longer than \(limit)" : "thawing took longer than \(limit)")
            if case .neverBegan(let id, let reason) = pending.meaning {
                answerNeverBegan(pending.channel, pending.operation, id, reason)
                request?.mayThawFollow = false
                continue
            }
            answer(
                pending.channel, pending.operation, .failure,
                AnswerDetail(request: request?.id, refusal: .failed, reason: request?.failure))
            if pending.meaning == .startsAnew || pending.meaning == .forced { continue }
            debts[pending.channel] = nil
            request?.mayThawFollow = false
        }
    }
}
