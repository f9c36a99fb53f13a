import Testing

@testable import FreezeCore

/// A hook that fails at thaw stays visible until its application is known to be well, or an admin has seen it.
@Suite struct AttentionTests {
    private static let failures: [HookOutcome] = [
        .exited(status: 1), .signalled(signal: 9), .timedOut(abandoned: true),
    ]

    /// A whole request, with these outcomes of the first hook.
    private func perform(
        _ bench: inout MachineBench, freeze: HookOutcome = .exited(status: 0), thaw: HookOutcome
    ) {
        _ = bench.freeze()
        bench.goOn(to: .freezeHooks)
        if let work = bench.work { bench.send(.hookFinished(work, bench.run(0, .freeze, freeze))) }
        bench.goOn(to: .frozen)
        let operation = bench.thaw()
        bench.goOn(to: .thawHooks)
        // Thaw goes the other way: the second hook first.
        if let work = bench.work { bench.send(.hookFinished(work, bench.run(1, .thaw))) }
        if let work = bench.work { bench.send(.hookFinished(work, bench.run(0, .thaw, thaw))) }
        bench.goOn(to: .idle)
        // The snapshot is good, whatever the hook does afterwards.
        #expect(bench.told(operation)?.verdict == .success)
    }

    private func kept(_ bench: MachineBench) -> [[String]] {
        bench.history.compactMap { effect in
            if case .keepAttention(let attention) = effect { attention.map(\.hook) } else { nil }
        }
    }

    @Test(arguments: failures)
    func `a failed thaw is kept until the hook did its work and was thawed`(failure: HookOutcome) {
        var bench = MachineBench()
        perform(&bench, thaw: failure)
        #expect(bench.machine.attention.map(\.hook) == ["10-a"])
        #expect(bench.record?.attention == ["10-a"])
        #expect(bench.record?.level == .application)
        let isNoted = bench.history.contains { effect in
            if case .note(let note) = effect {
                note.fields[.messageID] == MessageID.attention.rawValue
            } else {
                false
            }
        }
        #expect(isNoted)
        // A success of thaw tells nothing where freeze had no work.
        perform(&bench, freeze: .skipped(reason: ""), thaw: .exited(status: 0))
        #expect(bench.machine.attention.map(\.hook) == ["10-a"])
        perform(&bench, thaw: .exited(status: 0))
        #expect(bench.machine.attention == [])
        #expect(kept(bench) == [["10-a"], []])
    }

    @Test func `an admin's word ends it, and names what it was`() throws {
        var bench = MachineBench()
        let old = Attention(hook: "30-old", request: RequestID("r0"), problem: "failed", since: bench.now)
        bench.send(.attentionRecalled([old]))
        perform(&bench, thaw: .exited(status: 3))
        #expect(bench.machine.overview.attention.map(\.hook) == ["30-old", "10-a"])
        let operation = OperationID(number: 99)
        bench.send(.acknowledge(.control, operation))
        let acknowledged = bench.effects.compactMap { effect -> [String]? in
            guard case .answer(_, operation, .success, let detail) = effect else { return nil }
            return detail.acknowledged
        }
        #expect(acknowledged == [["30-old", "10-a"]])
        #expect(bench.machine.attention == [])
        #expect(kept(bench).last == [])
    }

    @Test func `what has failed since is newer than what is recalled`() {
        var bench = MachineBench()
        perform(&bench, thaw: .exited(status: 3))
        let old = ["10-a", "20-b"].map {
            Attention(hook: $0, request: RequestID("r0"), problem: "failed", since: bench.now)
        }
        bench.send(.attentionRecalled(old))
        #expect(bench.machine.attention.map(\.hook) == ["20-b", "10-a"])
        // The file had only the newer one by then.
        #expect(kept(bench).last == ["20-b", "10-a"])
        #expect(bench.machine.attention.map(\.problem) == ["failed", "exited with status 3"])
    }
}

@Suite struct LevelTests {
    @Test(arguments: [
        (HookOutcome.exited(status: 0), HookOutcome.exited(status: 0), ConsistencyLevel.application),
        (.skipped(reason: "none runs"), .exited(status: 0), .application),
        (.skipped(reason: "none runs"), .skipped(reason: ""), .filesystem),
    ])
    func `P3 application needs a hook that did its work`(
        first: HookOutcome, second: HookOutcome, level: ConsistencyLevel
    ) throws {
        var bench = MachineBench()
        _ = bench.freeze()
        bench.goOn(to: .freezeHooks)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze, first)))
        bench.send(.hookFinished(try #require(bench.work), bench.run(1, .freeze, second)))
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        // A hook without work is called for thaw, too (P4).
        #expect(bench.record?.hooks.map(\.phase) == [.freeze, .freeze, .thaw, .thaw])
        #expect(bench.record?.level == level)
        #expect(bench.record?.workingHooks.isEmpty == (level == .filesystem))
        let reason = "no hook had work: 10-a (none runs), 20-b"
        #expect(bench.record?.reason == (level == .filesystem ? reason : nil))
    }
}
