import FreezeCore
import SystemPackage
import Testing

@Suite("The window")
struct WindowTests {
    static let active: [RequestState] = [
        .planning, .flushing, .freezeHooks, .flushingAgain, .checking, .freezing, .verifying, .frozen, .thawing,
        .thawHooks,
    ]
    static let window: [RequestState] = [.freezing, .verifying, .frozen]

    /// A request in a state, without a fault so far.
    static func bench(in state: RequestState) -> (MachineBench, OperationID) {
        MachineBench.request(of: MachineBench.host, in: state)
    }

    @Test("P2, P3, P4: freeze, thaw, and hooks in reverse order")
    func ordinaryRequest() throws {
        var bench = MachineBench()
        #expect(bench.contains(.openChannels))
        let freeze = bench.freeze()
        bench.goOn(to: .freezeHooks)
        #expect(bench.machine.state == .freezeHooks)
        #expect(bench.hookCall == "0 freeze ok")
        bench.goOn(to: .frozen)
        #expect(bench.machine.state == .frozen)
        #expect(bench.verdict(of: freeze) == .success)
        let thaw = bench.thaw()
        #expect(bench.contains(.thaw))
        #expect(bench.verdict(of: thaw) == nil)
        bench.goOn(to: .thawHooks)
        #expect(bench.machine.state == .thawHooks)
        #expect(bench.verdict(of: thaw) == .success)
        #expect(bench.hookCall == "1 thaw ok")
        bench.send(.hookFinished(try #require(bench.work), bench.run(1, .thaw)))
        #expect(bench.hookCall == "0 thaw ok")
        bench.goOn(to: .idle)
        #expect(bench.machine.state == .idle)
        #expect(bench.record?.result == .succeeded)
        #expect(bench.record?.level == .application)
        #expect(bench.contains(.release))
    }

    @Test("P9: every state has a deadline", arguments: active)
    func deadline(state: RequestState) {
        let (bench, _) = Self.bench(in: state)
        #expect(bench.machine.nextDeadline != nil)
    }

    @Test("P9: every state ends by itself, at idle", arguments: active)
    func timeout(state: RequestState) {
        var (bench, freeze) = Self.bench(in: state)
        var verdict: OperationAnswer?
        for _ in 0..<20 where bench.machine.nextDeadline != nil {
            bench.waitForDeadline()
            verdict = verdict ?? bench.verdict(of: freeze)
        }
        #expect(bench.machine.state == .idle)
        if ![.frozen, .thawing, .thawHooks].contains(state) { #expect(verdict == .failure) }
    }

    @Test("P6: a step is frozen when the one before is")
    func steps() {
        var (bench, _) = Self.bench(in: .freezing)
        bench.send(.froze(0, bench.result()))
        #expect(bench.effects.isEmpty)
        bench.send(.froze(1, bench.result()))
        guard case .freeze(step: 1, _, _)? = bench.effects.first else {
            Issue.record("step 1 is not frozen: \(bench.effects)")
            return
        }
    }

    @Test("RCU grace periods are expedited from the first FIFREEZE until all are frozen, or no longer")
    func expeditedRCU() {
        var (bench, _) = Self.bench(in: .freezing)
        #expect(bench.effects.first == .expediteRCU(true))
        let started = bench
        bench.goOn(to: .verifying)
        #expect(bench.effects.first == .expediteRCU(false))
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        #expect(bench.effects == [.thaw], "once")
        bench = started
        bench.send(.froze(0, bench.result(.ioError)))
        #expect(bench.effects.prefix(2) == [.expediteRCU(false), .thaw])
    }

    @Test("A plan without a filesystem to freeze expedites nothing")
    func nothingToExpedite() {
        var bench = MachineBench()
        bench.plan = FreezePlan(
            filesystems: [
                PlannedFilesystem(
                    device: DeviceNumber(major: 8, minor: 1),
                    mount: MachineBench.plan(steps: [0]).filesystems[0].mount,
                    action: .sync, reason: "", step: nil)
            ])
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        #expect(!bench.history.contains(.expediteRCU(true)) && !bench.history.contains(.expediteRCU(false)))
    }

    @Test("P6: steps that a plan leaves out are passed over")
    func stepGaps() {
        var bench = MachineBench()
        bench.plan = MachineBench.plan(steps: [1, 3])
        let freeze = bench.freeze()
        bench.goOn(to: .frozen)
        #expect(bench.machine.state == .frozen)
        #expect(bench.verdict(of: freeze) == .success)
    }

    @Test(
        "P2, P5: a filesystem that is not frozen by us fails the request",
        arguments: [
            Errno.resourceBusy, .notSupportedOnSocket, .ioError, .notPermitted, .readOnlyFileSystem, .canceled,
        ])
    func freezeFails(error: Errno) {
        var (bench, freeze) = Self.bench(in: .freezing)
        bench.send(.froze(0, bench.result()))
        bench.send(.froze(1, bench.result(error)))
        #expect(bench.contains(.thaw))
        #expect(bench.verdict(of: freeze) == nil, "0 is still frozen")
        bench.send(.thawed(0, bench.result()))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.hookCall == "1 thaw failed")
    }

    @Test("P2: the ledger and the mount table have the last word", arguments: [true, false])
    func lastLook(isTableChanged: Bool) throws {
        var (bench, freeze) = Self.bench(in: .verifying)
        let work = try #require(bench.work)
        bench.send(.mountsChecked(work, change: isTableChanged ? "/x is new" : nil, allFrozen: isTableChanged))
        #expect(bench.machine.state == .thawing)
        bench.goOn(to: .thawHooks)
        #expect(bench.machine.state == .thawHooks)
        #expect(bench.verdict(of: freeze) == .failure)
    }

    @Test("P2: a last look that is heard of after the freezer's deadline is too late")
    func lateLook() throws {
        var (bench, freeze) = Self.bench(in: .verifying)
        let work = try #require(bench.work)
        bench.send(.mountsChecked(work, change: nil, allFrozen: true), after: .seconds(10))
        #expect(bench.machine.state == .thawing)
        #expect(bench.verdict(of: freeze) == nil)
    }

    @Test("P1: the freezer's death leads to a take-over", arguments: window + [.thawing])
    func freezerDies(state: RequestState) {
        var (bench, _) = Self.bench(in: state)
        bench.send(.freezerEnded(how: "killed"))
        #expect(bench.contains(.takeOverThaw))
        #expect(bench.machine.state == .thawing)
        bench.send(.thawed(2, bench.result()))
        bench.send(.thawed(1, bench.result()))
        bench.send(.thawed(0, bench.result()))
        #expect(bench.machine.state == .thawHooks)
        #expect(!bench.machine.isStuck)
    }

    @Test("The request that recover --force ended is on record as that", arguments: window, [true, false])
    func recoveredByForce(state: RequestState, isHanging: Bool) {
        var (bench, _) = Self.bench(in: state)
        if isHanging {
            // The freezer does not end before its FIFREEZE returns.
            bench.send(.timePassed(DeadlineFindings(isEndedByForce: true)))
            #expect(bench.machine.state == .thawing)
        }
        bench.send(.freezerEnded(how: "killed", isByForce: true))
        #expect(bench.contains(.takeOverThaw))
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        bench.goOn(to: .idle)
        #expect(bench.record?.reason == "thawed by hand: quiescectl recover --force")
    }

    @Test(
        "P1, P4: before anything is frozen, the freezer's death fails the request",
        arguments: [RequestState.flushing, .flushingAgain, .checking])
    func freezerDiesEarly(state: RequestState) {
        var (bench, freeze) = Self.bench(in: state)
        bench.send(.freezerEnded(how: "killed"))
        #expect(!bench.contains(.takeOverThaw))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect((bench.hookCall == nil) == (state == .flushing))
    }

    @Test("P1: a silent freezer is taken over, and what stays is STUCK", arguments: window)
    func freezerIsSilent(state: RequestState) {
        var (bench, _) = Self.bench(in: state)
        bench.send(.shutdown(reason: "SIGTERM"))
        #expect(bench.contains(.thaw))
        bench.waitForDeadline()
        #expect(bench.contains(.takeOverThaw))
        bench.waitForDeadline()
        #expect(bench.machine.state == .thawHooks)
        #expect(bench.machine.isStuck)
    }

    @Test("P1, P4: SIGTERM ends a request in any state, and then the daemon", arguments: active)
    func shutdown(state: RequestState) throws {
        var (bench, freeze) = Self.bench(in: state)
        let running = bench.work
        bench.send(.shutdown(reason: "SIGTERM"))
        if state == .freezeHooks {
            #expect(bench.effects == [.cancelHook])
            bench.send(.hookFinished(try #require(running), bench.run(0, .freeze, .signalled(signal: 15))))
        }
        if WindowTests.window.contains(state) { #expect(bench.contains(.thaw)) }
        // What was under way before goes on.
        if state == .thawing { for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) } }
        if state == .thawHooks { bench.send(.hookFinished(try #require(running), bench.run(1, .thaw))) }
        bench.goOn(to: .stopped)
        #expect(bench.machine.state == .stopped)
        #expect(bench.contains(.exit))
        // The host was told success only by a THAW before it.
        let wasThawed = state == .thawHooks
        #expect(bench.record?.result ?? .failed == (wasThawed ? .succeeded : .failed))
        #expect(bench.machine.nextDeadline == nil)
        _ = freeze
    }

    @Test("P1: what hangs is STUCK, fails every FREEZE at once, and is released when it returns")
    func stuck() {
        var (bench, freeze) = Self.bench(in: .freezing)
        bench.send(.froze(0, bench.result()))
        bench.waitForDeadline()
        bench.send(.thawed(0, bench.result()))
        bench.send(.thawFinished)
        #expect(bench.verdict(of: freeze) == nil, "a little more time")
        bench.waitForDeadline()
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.machine.stuckMountPoints == ["/1"])
        bench.goOn(to: .idle)
        #expect(bench.machine.state == .idle)
        #expect(!bench.contains(.release))
        let second = bench.freeze()
        #expect(bench.verdict(of: second) == .failure)
        #expect(bench.machine.state == .idle)
        bench.send(.froze(1, bench.result()))
        #expect(bench.machine.isStuck)
        bench.send(.thawed(1, bench.result()))
        #expect(bench.effects == [.release])
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        #expect(bench.machine.state == .frozen)
    }

    @Test("P1: once all others are thawed, the host waits but a moment for what hangs", arguments: [false, true])
    func hangingPatience(isTakenOver: Bool) throws {
        var (bench, freeze) = Self.bench(in: .freezing)
        bench.send(.froze(0, bench.result()))
        bench.send(isTakenOver ? .freezerEnded(how: "killed") : .freezerThaws(.freezeDeadline))
        #expect(bench.contains(.takeOverThaw) == isTakenOver)
        // While one that is frozen is still to be thawed, there is more time.
        let before = try #require(bench.machine.nextDeadline) - bench.now
        #expect(before > bench.machine.policy.hangingFreezePatience)
        bench.send(.thawed(0, bench.result()))
        if !isTakenOver { bench.send(.thawFinished) }
        let after = try #require(bench.machine.nextDeadline) - bench.now
        #expect(after == bench.machine.policy.hangingFreezePatience)
        bench.waitForDeadline()
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.machine.stuckMountPoints == ["/1"])
    }

    /// A request with /1 late: not frozen within freeze.timeout.
    private func lateBench() -> MachineBench {
        var bench = MachineBench.request(of: MachineBench.host, in: .freezing).0
        bench.send(.froze(0, bench.result()))
        bench.waitForDeadline()
        #expect(bench.machine.state == .thawing)
        return bench
    }

    @Test("P6: a FIFREEZE that returns as soon as another filesystem is thawed is explained, and the key is named")
    func lateFreezeIsExplained() throws {
        var bench = lateBench()
        bench.send(.thawed(0, bench.result()))
        bench.send(.froze(1, bench.result()))
        bench.send(.thawed(1, bench.result()))
        bench.goOn(to: .idle)
        let reason = try #require(bench.lastRecord?.reason)
        #expect(reason.hasPrefix("/1: not frozen within freeze.timeout"))
        #expect(
            reason.hasSuffix(
                "; /1 was frozen as soon as /0 was thawed, so it may be stored there: freeze it first, by "
                    + "[[filesystems.order]]"))
    }

    @Test(
        "A FIFREEZE that returns before a thaw, or fails, is not explained by a thaw",
        arguments: [nil, Errno.ioError])
    func otherLateFreeze(error: Errno?) throws {
        var bench = lateBench()
        if error != nil { bench.send(.thawed(0, bench.result())) }
        bench.send(.froze(1, bench.result(error)))
        if error == nil { for index in [0, 1] { bench.send(.thawed(index, bench.result())) } }
        bench.goOn(to: .idle)
        let reason = try #require(bench.lastRecord?.reason)
        #expect(reason.hasPrefix("/1: not frozen within freeze.timeout"))
        #expect(!reason.contains("[[filesystems.order]]"))
    }

    private func reason(of findings: WindowFindings) -> String? {
        var (bench, _) = Self.bench(in: .frozen)
        let thaw = bench.thaw(findings: findings)
        #expect(bench.contains(.thaw))
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.verdict(of: thaw) == .failure)
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.result == .failed)
        return bench.lastRecord?.reason
    }

    @Test("P3: a filesystem that becomes writable in the window fails its THAW")
    func becameWritableInWindow() {
        #expect(
            reason(of: WindowFindings(becameWritable: "/new (ext4 on /dev/sdz) was mounted"))
                == "the mount table changed in the window: /new (ext4 on /dev/sdz) was mounted; the snapshot may be torn"
        )
    }

    @Test("P3: what was written to a frozen filesystem's device fails the THAW, though FITHAW succeeds")
    func writtenInWindow() {
        let reason = reason(of: WindowFindings(written: "/1", becameWritable: "/new"))
        #expect(reason?.hasPrefix("/1: somebody else thawed it") == true)
    }

    @Test("P3: a caller without a snapshot is told of a torn window, too")
    func tornWithoutSnapshot() {
        var (bench, _) = MachineBench.request(of: MachineBench.other, in: .frozen)
        let operation = OperationID(number: 99)
        bench.send(
            .thaw(MachineBench.other, operation, ThawWish(failure: "status 1"), WindowFindings(written: "/1")))
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.verdict(of: operation) == .failure)
    }

    @Test("The driver looks back before the owner's THAW of a frozen request, and before no other")
    func endsWindow() {
        let (frozen, _) = Self.bench(in: .frozen)
        let (host, other) = (MachineBench.host, MachineBench.other)
        #expect(frozen.machine.endsWindow(host, .own))
        #expect(frozen.machine.endsWindow(host, ThawWish(request: frozen.machine.requestID)))
        #expect(!frozen.machine.endsWindow(host, ThawWish(request: RequestID("another"))))
        #expect(!frozen.machine.endsWindow(other, ThawWish(isForced: true)))
        for state in Self.active where state != .frozen {
            #expect(!Self.bench(in: state).0.machine.endsWindow(host, .own))
        }
    }

    @Test("P7: dirty memory is quoted for a flush only, and never in the window", arguments: active)
    func quotesMemory(state: RequestState) {
        let flushes: [RequestState] = [.flushing, .flushingAgain, .flushingLast]
        #expect(Self.bench(in: state).0.machine.quotesMemory == flushes.contains(state))
    }

    @Test("P1: a report that the take-over overtook is not heard")
    func overtakenReport() {
        var (bench, _) = Self.bench(in: .freezing)
        bench.send(.freezerEnded(how: "killed"))
        bench.send(.thawed(0, bench.result()))
        bench.send(.froze(0, bench.result()))
        bench.send(.thawed(1, bench.result()))
        #expect(bench.machine.state == .thawHooks)
        #expect(!bench.machine.isStuck)
    }
}
