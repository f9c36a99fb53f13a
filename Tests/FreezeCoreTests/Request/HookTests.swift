import Testing

@testable import FreezeCore

@Suite("Hooks of a request")
struct HookTests {
    private func bench(_ failure: RequestPolicy.HookFailure) -> (MachineBench, OperationID) {
        var policy = RequestPolicy()
        policy.onHookFailure = failure
        var bench = MachineBench(policy: policy)
        let freeze = bench.freeze()
        bench.goOn(to: .freezeHooks)
        return (bench, freeze)
    }

    static let failures: [HookOutcome] = [
        .exited(status: 1), .signalled(signal: 9), .timedOut(abandoned: false), .timedOut(abandoned: true),
    ]

    @Test("P2, P4: a failed hook fails the request, and is called for thaw", arguments: failures)
    func abort(outcome: HookOutcome) throws {
        var (bench, freeze) = bench(.abort)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze, outcome)))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.hookCall == "0 thaw failed")
        bench.goOn(to: .idle)
        #expect(bench.machine.state == .idle)
    }

    @Test("P2: with on_failure = continue it goes on, at the level filesystem", arguments: failures)
    func proceed(outcome: HookOutcome) throws {
        var (bench, freeze) = bench(.proceed)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze, outcome)))
        bench.goOn(to: .frozen)
        #expect(bench.verdict(of: freeze) == .success)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        #expect(bench.record?.level == .filesystem)
        #expect(
            bench.record?.hooks.map { "\($0.name) \($0.phase)" } == [
                "10-a freeze", "20-b freeze", "20-b thaw", "10-a thaw",
            ])
    }

    @Test("What a hook writes, and the names of what failed, control no terminal")
    func escaping() throws {
        var (bench, _) = bench(.abort)
        let run = HookRun(
            name: "10-\u{1B}a", phase: .freeze, outcome: .exited(status: 1), output: "one\n\u{1B}]0;two\u{7}\n",
            isOutputTruncated: false, started: bench.now, duration: .zero)
        bench.send(.hookFinished(try #require(bench.work), run))
        bench.goOn(to: .thawHooks)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .thaw)))
        #expect(bench.record?.reason == "hook 10-\\033a exited with status 1: \\033]0;two\\007")
        #expect(LogNote(.error, "a\nb").message == "a\\012b")
        #expect(
            PlanError(.cycle, subject: "/a\u{1B}", problem: "is wrong", remedy: "Do it.").description
                == "/a\\033: is wrong. Do it.")
    }

    @Test("P4: a hook that could not be started is not called for thaw")
    func notStarted() throws {
        var (bench, _) = bench(.abort)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze, .notStarted(reason: "ENOEXEC"))))
        #expect(bench.hookCall == nil)
        #expect(bench.machine.state == .idle)
    }

    @Test("P4, P9: a hook that never reports is given up, called for thaw, and its late report is not heard")
    func hangs() throws {
        var (bench, freeze) = bench(.abort)
        let work = try #require(bench.work)
        bench.waitForDeadline()
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.hookCall == "0 thaw failed")
        bench.send(.hookFinished(work, bench.run(0, .freeze)))
        #expect(bench.effects.isEmpty)
    }

    @Test(
        "P2: a refused hook fails the request before any hook runs; continue leaves it out",
        arguments: [true, false])
    func refused(isAbort: Bool) {
        var policy = RequestPolicy()
        policy.onHookFailure = isAbort ? .abort : .proceed
        var bench = MachineBench(policy: policy)
        bench.hooks = [PlannedHook(name: "10-a", refusal: "writable by others"), PlannedHook(name: "20-b")]
        let freeze = bench.freeze()
        bench.goOn(to: isAbort ? .idle : .freezeHooks)
        if isAbort {
            #expect(bench.verdict(of: freeze) == .failure)
        } else {
            #expect(bench.hookCall == "1 freeze ok")
        }
    }

    @Test(
        "P2: a hook for which hooks.total_timeout leaves no time has failed",
        arguments: [RequestPolicy.HookFailure.abort, .proceed])
    func noTimeLeft(failure: RequestPolicy.HookFailure) throws {
        var policy = RequestPolicy()
        policy.onHookFailure = failure
        policy.hooksTotalTimeout = .seconds(1)
        var bench = MachineBench(policy: policy)
        let freeze = bench.freeze()
        bench.goOn(to: .freezeHooks)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze)), after: .seconds(1))
        if failure == .abort {
            #expect(bench.verdict(of: freeze) == .failure)
        } else {
            bench.goOn(to: .frozen)
            #expect(bench.verdict(of: freeze) == .success)
            _ = bench.thaw()
        }
        bench.goOn(to: .idle)
        let record = try #require(bench.record)
        #expect(record.hooks.map { "\($0.name) \($0.phase)" } == ["10-a freeze", "20-b freeze", "10-a thaw"])
        #expect(record.level == (failure == .abort ? nil : .filesystem))
        #expect(try #require(record.reason).contains("20-b"))
    }

    @Test("P4: a thaw hook that cannot be started is tried again, three times in all", arguments: 1...3)
    func thawIsTriedAgain(failedStarts: Int) throws {
        var bench = MachineBench()
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .thawHooks)
        for attempt in 1...failedStarts {
            #expect(bench.hookCall == "1 thaw ok")
            bench.send(
                .hookFinished(try #require(bench.work), bench.run(1, .thaw, .notStarted(reason: "EAGAIN"))))
            if attempt < 3 {
                #expect(bench.hookCall == nil)
                bench.waitForDeadline()
            }
        }
        if failedStarts < 3 {
            #expect(bench.hookCall == "1 thaw ok")
            bench.send(.hookFinished(try #require(bench.work), bench.run(1, .thaw)))
        }
        #expect(bench.hookCall == "0 thaw ok")
        bench.goOn(to: .idle)
        #expect(bench.record?.result == .succeeded)
        #expect(bench.record?.hooks.count(where: { $0.phase == .thaw }) == min(failedStarts + 1, 3) + 1)
    }

    @Test("P4: a thaw hook that cannot be started is not tried again past the budget")
    func thawIsTriedWithinTheBudget() throws {
        var policy = RequestPolicy()
        policy.hooksTotalTimeout = .seconds(1)
        var bench = MachineBench(policy: policy)
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .thawHooks)
        let work = try #require(bench.work)
        bench.send(.hookFinished(work, bench.run(1, .thaw, .notStarted(reason: "EAGAIN"))), after: .seconds(1))
        #expect(bench.hookCall == "0 thaw ok")
    }

    @Test("P4: each hook is called for thaw, even when the budget is used up")
    func budget() throws {
        var policy = RequestPolicy()
        policy.hooksTotalTimeout = .seconds(1)
        var bench = MachineBench(policy: policy)
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .thawHooks)
        let work = try #require(bench.work)
        bench.send(.hookFinished(work, bench.run(1, .thaw)), after: .seconds(2))
        #expect(bench.hookCall == "0 thaw ok")
    }

    /// Of the calls in the last step.
    private func timeout(_ bench: MachineBench) -> Duration? {
        for effect in bench.effects {
            switch effect {
            case .runHook(_, _, _, _, _, let timeout), .startSession(_, _, let timeout),
                .runLeftoverHook(_, _, _, _, _, let timeout):
                return timeout
            default: continue
            }
        }
        return nil
    }

    @Test("A hook's own timeout comes before that of all, and is never more than what is left of the total")
    func ownTimeout() throws {
        var policy = RequestPolicy()
        policy.hookTimeout = .seconds(10)
        policy.hooksTotalTimeout = .seconds(60)
        var bench = MachineBench(policy: policy)
        bench.hooks = [
            PlannedHook(name: "10-a", timeout: .seconds(40)), PlannedHook(name: "20-b"),
            PlannedHook(name: "40-d", timeout: .seconds(50)),
        ]
        _ = bench.freeze()
        bench.goOn(to: .freezeHooks)
        #expect(timeout(bench) == .seconds(40))
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze)), after: .seconds(20))
        #expect(timeout(bench) == .seconds(10))
        bench.send(.hookFinished(try #require(bench.work), bench.run(1, .freeze)), after: .seconds(6))
        #expect(timeout(bench) == .seconds(34))
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .thawHooks)
        #expect(bench.hookCall == "2 thaw ok" && timeout(bench) == .seconds(50))
        bench.send(.hookFinished(try #require(bench.work), bench.run(2, .thaw)), after: .seconds(2))
        #expect(bench.hookCall == "1 thaw ok" && timeout(bench) == .seconds(10))
    }

    @Test("A session hook gets its own timeout until READY")
    func ownTimeoutOfASession() {
        var bench = MachineBench()
        bench.hooks = [PlannedHook(name: "10-a.session", kind: .session, timeout: .seconds(3))]
        _ = bench.freeze()
        bench.goOn(to: .sessionHooks)
        #expect(timeout(bench) == .seconds(3))
    }

    @Test("P4: a hook that a crash left is called for thaw within its own timeout")
    func ownTimeoutAfterACrash() {
        let leftover = Leftover(
            requestID: RequestID("r"), channel: .hyperV,
            hooksOwedThaw: [PlannedHook(name: "20-b", timeout: .seconds(70)), PlannedHook(name: "10-a")], stuck: []
        )
        var bench = MachineBench(recovered: leftover)
        #expect(bench.hookCall == "20-b" && timeout(bench) == .seconds(70))
        bench.goOn(to: .idle)
        #expect(bench.machine.state == .idle)
    }

    @Test("P2: a hook's own on_failure comes before that of all", arguments: RequestPolicy.HookFailure.allCases)
    func ownOnFailure(own: RequestPolicy.HookFailure) throws {
        var policy = RequestPolicy()
        policy.onHookFailure = own == .abort ? .proceed : .abort
        var bench = MachineBench(policy: policy)
        bench.hooks = [PlannedHook(name: "10-a", onFailure: own), PlannedHook(name: "20-b")]
        let freeze = bench.freeze()
        bench.goOn(to: .freezeHooks)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze, .exited(status: 1))))
        bench.goOn(to: own == .abort ? .idle : .frozen)
        #expect(bench.told(freeze)?.verdict == (own == .abort ? .failure : .success))
        guard own == .proceed else { return }
        _ = bench.thaw()
        bench.goOn(to: .idle)
        #expect(bench.record?.level == .filesystem)
    }
}
