/// The failed thaw hooks that an admin has to acknowledge.
extension RequestMachine {
    /// Adds the attention of previous instances, which is older than the attention of this instance.
    mutating func attentionRecalled(_ recalled: [Attention]) {
        let older = recalled.filter { old in !attention.contains { $0.hook == old.hook } }
        // Recalled late: the file was overwritten without the recalled attention.
        if attention.isEmpty { attention = older } else { keep(older + attention) }
        publication.isDue = true
    }

    mutating func acknowledged(_ channel: ChannelID, _ operation: OperationID) {
        guard rules(of: channel).actsForAdmin else {
            let reason = "only an admin can acknowledge, on the control socket"
            return answer(channel, operation, .failure, AnswerDetail(refusal: .notOwner, reason: reason))
        }
        var detail = AnswerDetail()
        detail.acknowledged = attention.map(\.hook)
        if !attention.isEmpty { keep([]) }
        emit(.answer(channel, operation, .success, detail))
    }

    /// After the last attempt to call a hook for thaw.
    mutating func judgeThawCall(_ run: HookRun) {
        guard let request else { return }
        let others = attention.filter { $0.hook != run.name }
        guard let clause = run.outcome.failureClause else {
            let didWork = request.record.hooks.working.contains(run.name)
            return didWork && others.count < attention.count ? keep(others) : ()
        }
        let isOwed = if case .notStarted = run.outcome { true } else { false }
        let remedy =
            isOwed ? "it is owed this call: run `\(run.name) thaw` by hand" : "its application may be down"
        note(
            .error, "thaw \(Self.hookFailure(run)); \(remedy)",
            [.messageID: MessageID.attention.rawValue, .hook: run.name, .requestID: request.id.text])
        keep(others + [Attention(hook: run.name, request: request.id, problem: clause, since: now)])
    }

    private mutating func keep(_ attention: [Attention]) {
        self.attention = attention
        publication.isDue = true
        emit(.keepAttention(attention))
    }
}
