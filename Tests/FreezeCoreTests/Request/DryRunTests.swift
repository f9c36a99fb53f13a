import Testing

@testable import FreezeCore

@Suite("Dry run")
struct DryRunTests {
    static let standIns = [MachineBench.host, .control, .hold(1)]

    static func policy(_ failure: RequestPolicy.HookFailure = .abort) -> RequestPolicy {
        var policy = RequestPolicy()
        policy.isDryRun = true
        policy.onHookFailure = failure
        return policy
    }

    /// A machine that only rehearses, and a channel whose host takes no snapshots.
    private func bench(
        _ standIn: ChannelID? = MachineBench.host, _ failure: RequestPolicy.HookFailure = .abort
    ) -> MachineBench {
        var bench = MachineBench(policy: Self.policy(failure))
        if let standIn { bench.send(.registered(standIn, isStandIn: true)) }
        return bench
    }

    /// Whether anything was done but planning.
    private func isQuiet(_ bench: MachineBench) -> Bool {
        bench.history.allSatisfy { effect in
            switch effect {
            case .flush, .findWriteHolders, .checkMounts, .verify, .runHook, .runLeftoverHook, .cancelHook,
                .freeze,
                .handOver, .expediteRCU, .thaw, .takeOverThaw:
                false
            default: true
            }
        }
    }

    @Test("It says success, marked dry, and does nothing", arguments: standIns)
    func success(channel: ChannelID) throws {
        var bench = bench(channel)
        let freeze = bench.freeze(channel)
        bench.goOn(to: .rehearsing)
        let told = try #require(bench.told(freeze))
        #expect(told.verdict == .success)
        #expect(told.detail.isDryRun)
        #expect(told.detail.reason == "dry run: nothing was frozen, and no hook was called")
        #expect(told.detail.windowDeadline == bench.now + bench.machine.policy.maxWindow)
        #expect(bench.machine.frozenUntil == nil)
        #expect(!bench.machine.isWindowOpen)
        let thaw = bench.thaw(channel)
        #expect(bench.verdict(of: thaw) == .success)
        #expect(bench.told(thaw)?.detail.isDryRun == true)
        #expect(bench.machine.state == .idle)
        #expect(bench.contains(.release))
        #expect(isQuiet(bench))
        let record = try #require(bench.record)
        #expect(record.isDryRun)
        #expect(record.result == .succeeded)
        #expect(record.level == .application)
        #expect(record.listedHooks == ["10-a", "20-b"])
        #expect(record.windowOpened == nil)
    }

    @Test("P2: a host that takes snapshots is never told success", arguments: [true, false])
    func realHost(wasStandIn: Bool) throws {
        var bench = bench(wasStandIn ? MachineBench.host : nil)
        if wasStandIn { bench.send(.registered(MachineBench.host, isStandIn: false)) }
        let freeze = bench.freeze()
        bench.goOn(to: .idle)
        let told = try #require(bench.told(freeze))
        #expect(told.verdict == .failure)
        #expect(told.detail.reason?.contains("--dry-run") == true)
        #expect(bench.lastRecord?.listedHooks == ["10-a", "20-b"], "what was found out is reported")
        #expect(isQuiet(bench))
        let thaw = bench.thaw()
        #expect(bench.verdict(of: thaw) == .success, "it follows a FREEZE that failed")
    }

    @Test("What would make a FREEZE fail fails it: nothing to freeze")
    func nothingToFreeze() {
        var bench = bench()
        bench.plan = MachineBench.plan(steps: [])
        let freeze = bench.freeze()
        bench.goOn(to: .idle)
        #expect(bench.told(freeze)?.verdict == .failure)
        #expect(isQuiet(bench))
    }

    @Test("What would make a FREEZE fail fails it: a refused hook, if policy says so", arguments: [true, false])
    func refusedHook(isAbort: Bool) {
        var bench = bench(MachineBench.host, isAbort ? .abort : .proceed)
        bench.hooks = [PlannedHook(name: "10-a", refusal: "writable by others"), PlannedHook(name: "20-b")]
        let freeze = bench.freeze()
        bench.goOn(to: .rehearsing)
        #expect(bench.told(freeze)?.verdict == (isAbort ? .failure : .success))
        if isAbort {
            #expect(bench.lastRecord?.subject == .hook("10-a"))
        } else {
            _ = bench.thaw()
            #expect(bench.lastRecord?.listedHooks == ["20-b"])
            #expect(bench.lastRecord?.level == .filesystem)
        }
        #expect(isQuiet(bench))
    }

    @Test("P3: a rehearsal ends at max_window too, and its THAW fails")
    func expired() {
        var bench = bench()
        _ = bench.freeze()
        bench.goOn(to: .rehearsing)
        let begin = bench.now
        bench.waitForDeadline()
        #expect(bench.now - begin == bench.machine.policy.maxWindow)
        #expect(bench.machine.state == .idle)
        #expect(bench.lastRecord?.result == .failed)
        let thaw = bench.thaw()
        #expect(bench.told(thaw)?.detail.refusal == .lost)
        #expect(isQuiet(bench))
    }

    @Test(
        "P8: FREEZE in a rehearsal: a host has given the first up, for others it is busy",
        arguments: standIns)
    func freezeAgain(channel: ChannelID) {
        var bench = bench(channel)
        _ = bench.freeze(channel)
        bench.goOn(to: .rehearsing)
        let second = bench.freeze(channel)
        let goesOn = RequestPolicy().rules(of: channel).secondFreeze == .busy
        #expect(bench.told(second)?.verdict == .failure)
        #expect(bench.told(second)?.detail.refusal == (goesOn ? .busy : .lost))
        #expect(bench.machine.state == (goesOn ? .rehearsing : .idle))
        let thaw = bench.thaw(channel)
        #expect(bench.told(thaw)?.verdict == (goesOn ? .success : .failure))
        #expect(isQuiet(bench))
    }

    @Test(
        "A rehearsal is ended by force, by its channel's loss, and by SIGTERM, like any request", arguments: 0..<3)
    func ended(way: Int) {
        var bench = bench()
        _ = bench.freeze()
        bench.goOn(to: .rehearsing)
        switch way {
        case 0: _ = bench.thaw(.control, isForced: true)
        case 1: bench.send(.channelLost(MachineBench.host, reason: "hung up"))
        default: bench.send(.shutdown(reason: "SIGTERM"))
        }
        #expect(bench.machine.state == (way == 2 ? .stopped : .idle))
        #expect(bench.lastRecord?.result == .failed)
        #expect((bench.machine.lostChannels[MachineBench.host] != nil))
        #expect(isQuiet(bench))
    }
}
