import Testing

@testable import FreezeCore

@Suite("Session hooks of a request")
struct SessionTests {
    private static let hooks = [
        PlannedHook(name: "10-a"), PlannedHook(name: "20-b.session", kind: .session),
        PlannedHook(name: "30-c.session", kind: .session),
    ]

    private func bench(_ policy: RequestPolicy = RequestPolicy(), in state: RequestState) -> (
        MachineBench, OperationID
    ) {
        var bench = MachineBench(policy: policy)
        bench.hooks = Self.hooks
        let freeze = bench.freeze()
        bench.goOn(to: state)
        #expect(bench.machine.state == state)
        return (bench, freeze)
    }

    private func lost(_ bench: MachineBench, _ index: Int, _ outcome: HookOutcome = .exited(status: 0))
        -> RequestEvent
    {
        .sessionEnded(index: index, bench.run(index, .thaw, outcome))
    }

    @Test func `P4 sessions start last, after every plain hook, whatever the names`() throws {
        var bench = MachineBench()
        bench.hooks = [
            PlannedHook(name: "10-a.session", kind: .session), PlannedHook(name: "20-b"),
            PlannedHook(name: "30-c.session", kind: .session), PlannedHook(name: "40-d"),
        ]
        let freeze = bench.freeze()
        bench.goOn(to: .frozen)
        #expect(bench.told(freeze)?.verdict == .success)
        #expect(bench.machine.state == .frozen)
        let states = bench.events.compactMap { if case .entered(let state) = $0 { state } else { nil } }
        #expect(
            states == [
                .idle, .planning, .flushing, .freezeHooks, .flushingAgain, .checking, .sessionHooks, .flushingLast,
                .freezing, .verifying, .frozen,
            ])
        _ = bench.thaw()
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        for index in [0, 2] { bench.send(lost(bench, index)) }
        bench.goOn(to: .idle)
        let freezes = bench.record?.hooks.filter { $0.phase == .freeze }.map(\.name)
        #expect(freezes == ["20-b", "40-d", "10-a.session", "30-c.session"])
    }

    @Test func `P2 a mount while sessions are held fails the request, and lets go of them`() {
        var (bench, freeze) = bench(in: .flushingLast)
        guard let work = bench.work else { return }
        bench.flushAll(work)
        guard case .pollMounts(let poll)? = bench.effects.first else { return #expect(Bool(false)) }
        bench.send(.mountsChecked(poll, change: "/new was mounted", allFrozen: false))
        #expect(bench.machine.state == .releasing)
        for index in [1, 2] { bench.send(lost(bench, index)) }
        #expect(bench.told(freeze)?.verdict == .failure)
        bench.goOn(to: .idle)
        #expect(bench.record?.reason == "something changed while session hooks held: /new was mounted")
    }

    @Test func `P9 the last flush has freeze's own limit, and no search for writers`() {
        var (bench, freeze) = bench(in: .flushingLast)
        #expect(!bench.history.suffix(3).contains { if case .findWriteHolders = $0 { true } else { false } })
        #expect(bench.machine.nextDeadline == bench.now + RequestPolicy().freezeTimeout)
        bench.waitForDeadline()
        for index in [1, 2] { bench.send(lost(bench, index)) }
        #expect(bench.told(freeze)?.verdict == .failure)
        bench.goOn(to: .idle)
        #expect(
            bench.record?.reason?.contains("flushing under session hooks took longer than freeze.timeout") == true)
    }

    @Test func `Both kinds share the time for all hooks`() throws {
        var policy = RequestPolicy()
        policy.hooksTotalTimeout = .seconds(20)
        var bench = MachineBench(policy: policy)
        bench.hooks = Self.hooks
        _ = bench.freeze()
        bench.goOn(to: .freezeHooks)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze)), after: .seconds(15))
        bench.goOn(to: .sessionHooks)
        guard case .startSession(_, _, let timeout)? = bench.effects.first else { return #expect(Bool(false)) }
        #expect(timeout == .seconds(5))
    }

    @Test("P3: sessions are released after the last thaw, and THAW is answered when all have ended")
    func released() {
        var (bench, _) = bench(in: .frozen)
        let thaw = bench.thaw()
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.machine.state == .releasing)
        #expect(bench.contains(.releaseSessions(timeout: .seconds(10))))
        #expect(bench.verdict(of: thaw) == nil)
        bench.send(lost(bench, 2))
        #expect(bench.verdict(of: thaw) == nil)
        bench.send(lost(bench, 1))
        #expect(bench.verdict(of: thaw) == .success)
        #expect(bench.hookCall == "0 thaw ok")
    }

    @Test("P3: a session that ends while frozen has everything thawed, and the THAW that follows fails")
    func lostInWindow() {
        var (bench, _) = bench(in: .frozen)
        bench.send(lost(bench, 1))
        #expect(bench.contains(.thaw))
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.machine.state == .releasing)
        bench.send(lost(bench, 2))
        #expect(bench.hookCall == "0 thaw failed")
        let hook = bench.effects
        let thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .failure)
        bench.effects = hook
        bench.goOn(to: .idle)
        #expect(
            bench.record?.reason == "hook 20-b.session ended before it was released, so what it held is lost")
    }

    @Test("Before the window a lost session costs the request, or with on_failure = continue its level")
    func lostEarly() {
        var proceed = RequestPolicy()
        proceed.onHookFailure = .proceed
        for policy in [RequestPolicy(), proceed] {
            var (bench, freeze) = bench(policy, in: .flushingLast)
            let flush = bench.effects
            bench.send(lost(bench, 1, .exited(status: 3)))
            if policy.onHookFailure == .abort {
                #expect(bench.machine.state == .releasing)
                bench.send(lost(bench, 2))
                #expect(bench.verdict(of: freeze) == .failure)
            } else {
                bench.effects = flush
                bench.goOn(to: .frozen)
                #expect(bench.verdict(of: freeze) == .success)
                _ = bench.thaw()
                for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
                bench.send(lost(bench, 2))
                bench.goOn(to: .idle)
                #expect(bench.record?.level == .filesystem)
            }
        }
    }

    @Test("P9: a session that never reports its end is given up, and the THAW fails")
    func hangs() {
        var (bench, _) = bench(in: .frozen)
        let thaw = bench.thaw()
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        bench.send(lost(bench, 1))
        // The host is not kept waiting for it.
        bench.waitForDeadline()
        #expect(bench.verdict(of: thaw) == .failure)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.hooks.last { $0.name == "30-c.session" }?.outcome == .timedOut(abandoned: true))
        bench.send(lost(bench, 2))
        #expect(bench.effects.isEmpty)
    }

    @Test("The freezer is not needed any more while sessions are released")
    func freezerDies() {
        var (bench, _) = bench(in: .frozen)
        let thaw = bench.thaw()
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        bench.send(.freezerEnded(how: "killed"))
        bench.send(lost(bench, 1))
        bench.send(lost(bench, 2))
        #expect(bench.verdict(of: thaw) == .success)
    }
}
