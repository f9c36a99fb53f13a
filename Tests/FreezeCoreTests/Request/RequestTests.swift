import FreezeCore
import SystemPackage
import Testing

@Suite("Requests and channels")
struct RequestTests {
    private func frozenBench(policy: RequestPolicy = RequestPolicy()) -> MachineBench {
        var bench = MachineBench(policy: policy)
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        return bench
    }

    // MARK: P3, LOST

    @Test("P3: a window that ended at max_window is LOST")
    func expiredWindow() {
        var bench = frozenBench()
        bench.waitForDeadline()
        #expect(bench.contains(.thaw))
        bench.goOn(to: .idle)
        #expect(bench.machine.lostChannels.keys.contains(MachineBench.host))
        let late = bench.thaw()
        #expect(bench.verdict(of: late) == .failure)
        #expect(bench.machine.lostChannels.isEmpty)
    }

    @Test("P3: somebody else's thaw in the window fails the THAW")
    func foreignThaw() {
        var bench = frozenBench()
        let thaw = bench.thaw()
        bench.send(.thawed(2, bench.result()))
        bench.send(.thawed(1, bench.result(.invalidArgument)))
        bench.send(.thawed(0, bench.result()))
        #expect(bench.verdict(of: thaw) == .failure)
    }

    @Test("P3: the freezer's own thaw, under way when THAW came, fails it")
    func freezerWasFirst() {
        var bench = frozenBench()
        let thaw = bench.thaw()
        bench.send(.freezerThaws(.windowDeadline))
        bench.goOn(to: .thawing)
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.verdict(of: thaw) == .failure)
    }

    @Test("P3: only the first of two THAWs succeeds")
    func secondThaw() {
        var bench = frozenBench()
        let first = bench.thaw()
        let second = bench.thaw()
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.verdict(of: first) == .success)
        #expect(bench.verdict(of: second) == .failure)
    }

    @Test("P3: a THAW without a request fails; after a failed FREEZE it is harmless, once")
    func harmlessThaw() throws {
        var bench = MachineBench()
        var thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .failure)
        _ = bench.freeze()
        bench.send(.openingFailed(try #require(bench.work), reason: "no", plan: nil))
        thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .success)
        thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .failure)
    }

    @Test("P3: THAW before FROZEN cancels: FREEZE fails, then THAW is harmless")
    func cancel() {
        var (bench, freeze) = WindowTests.bench(in: .verifying)
        let thaw = bench.thaw()
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.answers.map(\.operation) == [freeze, thaw])
        #expect(bench.answers.map(\.verdict) == [.failure, .success])
    }

    @Test("P3: a lost channel's next THAW fails, at any moment", arguments: WindowTests.active.dropLast(2))
    func lostChannel(state: RequestState) throws {
        var (bench, _) = WindowTests.bench(in: state)
        let running = bench.work
        bench.send(.channelLost(MachineBench.host, reason: "hung up"))
        let thaw = bench.thaw()
        var verdict = bench.verdict(of: thaw)
        if state == .freezeHooks {
            bench.send(.hookFinished(try #require(running), bench.run(0, .freeze)))
        } else if WindowTests.window.contains(state) {
            for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
            if bench.machine.state == .thawing {
                for index in [0, 1] { bench.send(.froze(index, bench.result(.canceled))) }
            }
        }
        verdict = verdict ?? bench.verdict(of: thaw)
        #expect(verdict == .failure)
    }

    @Test("P3: a FREEZE that failed makes no THAW a success once its channel was lost", arguments: [true, false])
    func lostAfterFailure(isLost: Bool) {
        var (bench, _) = WindowTests.bench(in: .planning)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        if isLost { bench.send(.channelLost(MachineBench.host, reason: "hung up")) }
        let thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == (isLost ? .failure : .success))
    }

    @Test("P3: a THAW that takes longer than its limit is answered with failure, and nothing is LOST afterwards")
    func overdueThaw() {
        var policy = RequestPolicy()
        policy.channels[MachineBench.host.name]?.thawAnswerLimit = .seconds(3)
        var bench = frozenBench(policy: policy)
        let thaw = bench.thaw()
        bench.waitForDeadline()
        #expect(bench.verdict(of: thaw) == .failure)
        #expect(bench.machine.state == .thawing)
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.machine.state == .thawHooks)
        #expect(bench.machine.lostChannels.isEmpty)
    }

    @Test("P1, P3: HOT_BACKUP or FREEZE while frozen: the first request is lost", arguments: [true, false])
    func startsAnew(isFreeze: Bool) {
        var bench = frozenBench()
        let anew = isFreeze ? bench.freeze() : bench.hotBackup()
        #expect(bench.effects == [.thaw])
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.verdict(of: anew) == .failure)
        let thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .failure)
    }

    @Test func `the record has the wall time of its FREEZE, also of a FREEZE that waited`() {
        var (bench, _) = MachineBench.request(of: MachineBench.host, in: .thawHooks)
        let hookCall = bench.effects
        bench.wallTime = WallTime(milliseconds: 7_000)
        _ = bench.freeze()
        bench.effects = hookCall
        bench.wallTime = WallTime(milliseconds: 9_000)
        let arrival = bench.now
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.clock.wallTime == MachineBench.wallTime)
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.clock == WallClock(moment: arrival, wallTime: WallTime(milliseconds: 7_000)))
    }

    // MARK: P8

    @Test("P8: busy at once, whoever asks", arguments: WindowTests.active)
    func busy(state: RequestState) {
        var (bench, _) = WindowTests.bench(in: state)
        let other = bench.freeze(MachineBench.other)
        #expect(bench.verdict(of: other) == .failure)
        #expect(bench.machine.state == state)
        let thaw = bench.thaw(MachineBench.other)
        #expect(bench.verdict(of: thaw) == .success)
        let hotBackup = bench.hotBackup(MachineBench.other)
        #expect(bench.verdict(of: hotBackup) == .success)
        #expect(bench.effects.count == 1)
    }

    @Test("P8: the owner's next FREEZE waits for the thaw hooks, and begins", arguments: [true, false])
    func waiting(isThawing: Bool) {
        var (bench, _) = WindowTests.bench(in: isThawing ? .thawing : .thawHooks)
        let pending = bench.effects
        let next = bench.freeze()
        #expect(bench.verdict(of: next) == nil)
        let third = bench.freeze()
        #expect(bench.verdict(of: third) == .failure)
        bench.effects = pending
        bench.goOn(to: .planning)
        #expect(bench.machine.state == .planning)
        bench.goOn(to: .frozen)
        #expect(bench.verdict(of: next) == .success)
    }

    @Test("P8: a FREEZE that waits is refused while it can still be answered in time")
    func waitingTooLong() {
        var policy = RequestPolicy()
        policy.flushTimeout = .seconds(365)
        var (bench, _) = WindowTests.bench(in: .thawHooks)
        bench = MachineBench(policy: policy)
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .thawHooks)
        let next = bench.freeze()
        #expect(bench.verdict(of: next) == .failure, "no time at all")
    }

    @Test("P1: a FREEZE that waits, cancelled by THAW, is answered once all is thawed", arguments: [true, false])
    func cancelledWhileWaiting(isThawing: Bool) {
        var (bench, _) = WindowTests.bench(in: isThawing ? .thawing : .thawHooks)
        let pending = bench.effects
        let next = bench.freeze()
        let thaw = bench.thaw()
        #expect(bench.told(next)?.verdict == (isThawing ? nil : .failure))
        #expect((bench.told(thaw) == nil) == isThawing)
        bench.effects = pending
        bench.goOn(to: .thawHooks)
        #expect(bench.told(next)?.verdict == .failure)
        #expect(bench.told(thaw) != nil)
        bench.goOn(to: .idle)
        #expect(bench.machine.state == .idle, "the FREEZE that was cancelled does not begin")
    }

    @Test("FREEZE is given up in time for its answer, whatever the budgets of its steps")
    func freezeLimit() {
        var policy = RequestPolicy()
        policy.flushTimeout = .seconds(2000)
        var bench = MachineBench(policy: policy)
        let freeze = bench.freeze()
        let begin = bench.now
        bench.goOn(to: .flushing)
        bench.waitForDeadline()
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.now - begin <= .seconds(870))
    }

    // MARK: Replans

    @Test("The plan is made again when the mount table changed, without running hooks twice; in the end it fails")
    func replans() throws {
        var bench = MachineBench()
        let freeze = bench.freeze()
        for _ in 0..<3 {
            bench.goOn(to: .checking)
            #expect(bench.hookCall == nil)
            bench.send(.mountsChecked(try #require(bench.work), change: "/x", allFrozen: false))
            #expect(bench.machine.state == .planning)
            // The directory may be another one by now: what has run is what counts.
            bench.send(
                .opened(
                    try #require(bench.work), PlannedRequest(plan: MachineBench.plan(steps: [0]), hooks: [])))
            bench.send(.freezerPrepared)
            #expect(bench.machine.state == .flushingAgain)
        }
        bench.goOn(to: .checking)
        bench.send(.mountsChecked(try #require(bench.work), change: "/x", allFrozen: false))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.hookCall == "1 thaw failed")
    }

    // MARK: HOT_BACKUP

    @Test("HOT_BACKUP is answered at once, and looked into when idle")
    func hotBackup() {
        var bench = MachineBench()
        let operation = bench.hotBackup()
        #expect(bench.verdict(of: operation) == .success)
        #expect(bench.effects.last == .assess(isFreezerReady: true))
    }

    // MARK: RECOVERING, and what a crash left

    @Test("RECOVERING: nobody is served, and no success is claimed")
    func recovering() {
        var bench = MachineBench(recovering: RequestPolicy())
        #expect(bench.effects == [.startFreezer, .recover])
        let freeze = bench.freeze()
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.machine.state == .recovering)
        bench.send(.channelLost(MachineBench.host, reason: ""))
        #expect(bench.effects.isEmpty, "no device is opened yet")
        bench.send(.shutdown(reason: "SIGTERM"))
        #expect(bench.machine.state == .recovering)
        bench.send(.recovered(nil))
        #expect(bench.effects == [.exit])
    }

    @Test("P4: of a good request that was cut short in its thaw hooks, these are told so, and the record too")
    func goodLeftover() {
        let leftover = Leftover(
            requestID: RequestID("old"), channel: MachineBench.host, hooksOwedThaw: [PlannedHook(name: "10-a")],
            stuck: [], outcome: .snapshot(.application))
        var bench = MachineBench(recovered: leftover)
        #expect(
            bench.effects.contains {
                if case .runLeftoverHook(_, "10-a", _, _, .snapshot(.application), _) = $0 { true } else { false }
            })
        let pending = bench.effects
        // It was answered by the life before.
        let thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .failure)
        bench.effects = pending
        bench.goOn(to: .idle)
        #expect(bench.record?.result == .succeeded)
        #expect(bench.record?.level == .application)
        #expect(
            bench.record?.reason
                == "quiesced ended after the thaw, before the thaw hooks finished; "
                + "the record does not list the hooks that did their work")
        #expect(bench.contains(.release))
    }

    @Test("A request that recover --force ended is on record as that, though its quiesced ended before it noticed")
    func leftoverEndedByHand() {
        var bench = MachineBench(
            recovered: Leftover(
                requestID: RequestID("old"), channel: MachineBench.host, hooksOwedThaw: [], stuck: [],
                isEndedByHand: true))
        bench.goOn(to: .idle)
        #expect(bench.record?.reason == "thawed by hand: quiescectl recover --force")
    }

    @Test("P4: the outcome of a good request is kept before its thaw hooks, and of no other")
    func keptOutcome() {
        var good = MachineBench.request(of: MachineBench.host, in: .frozen).0
        _ = good.thaw()
        good.goOn(to: .thawHooks)
        #expect(good.history.contains(.keepOutcome(.snapshot(.application))))
        var bad = MachineBench.request(of: MachineBench.host, in: .frozen).0
        bad.send(.freezerEnded(how: "killed"))
        bad.goOn(to: .idle)
        #expect(!bad.history.contains(.keepOutcome(.snapshot(.application))))
    }

    @Test("P3, P4: after a crash the owed hooks are called, THAW fails, and what hangs is watched")
    func leftover() {
        let leftover = Leftover(
            requestID: RequestID("old"), channel: MachineBench.host,
            hooksOwedThaw: [PlannedHook(name: "20-b"), PlannedHook(name: "10-a")], stuck: ["/1"])
        var bench = MachineBench(recovered: leftover)
        #expect(bench.effects.prefix(2) == [.openChannels, .reopenChannels])
        #expect(bench.hookCall == "20-b")
        let pending = bench.effects
        let thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .failure)
        bench.effects = pending
        bench.waitForDeadline()
        #expect(bench.hookCall == "10-a", "the first one hangs")
        bench.goOn(to: .idle)
        #expect(bench.record?.result == .failed)
        #expect(!bench.contains(.release))
        let freeze = bench.freeze()
        #expect(bench.verdict(of: freeze) == .failure)
        bench.send(.leftoverSettled("/1"))
        #expect(bench.effects == [.release])
    }
}
