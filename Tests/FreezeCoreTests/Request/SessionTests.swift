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
            var (bench, freeze) = bench(policy, in: .flushingAgain)
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
        bench.send(.freezerDied)
        bench.send(lost(bench, 1))
        bench.send(lost(bench, 2))
        #expect(bench.verdict(of: thaw) == .success)
    }
}
