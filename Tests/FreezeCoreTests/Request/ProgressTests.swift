import FreezeCore
import SystemPackage
import Testing

@Suite("What whoever watches is told")
struct ProgressTests {
    /// Told apart, without what is in them.
    private func brief(_ event: RequestProgress.Event) -> String {
        switch event {
        case .entered(let state): "→ \(state.rawValue)"
        case .planned(let plan, let hooks): "planned \(plan.filesystems.count), \(hooks.count) hooks"
        case .flushed(let mountPoint, _): "flushed \(mountPoint)"
        case .hookStarted(let name, let phase): "\(name) \(phase) …"
        case .hookEnded(let run): "\(run.name) \(run.phase) ended"
        case .froze(let mountPoint, let result): "froze \(mountPoint) \(result.error == nil)"
        case .thawed(let mountPoint, let result): "thawed \(mountPoint) \(result.error == nil)"
        case .failed(let reason): "failed: \(reason)"
        case .finished(let record): "finished: \(record.result)"
        }
    }

    @Test("A good request, event by event")
    func good() throws {
        var bench = MachineBench()
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        #expect(
            bench.events.map(brief) == [
                "→ idle", "→ planning", "planned 3, 2 hooks", "→ flushing", "flushed /0", "flushed /1",
                "flushed /2", "→ running freeze hooks", "10-a freeze …", "10-a freeze ended", "20-b freeze …",
                "20-b freeze ended", "→ flushing again", "flushed /0", "flushed /1", "flushed /2", "→ checking",
                "→ freezing", "froze /0 true",
                "froze /1 true", "froze /2 true", "→ verifying", "→ frozen", "→ thawing", "thawed /2 true",
                "thawed /1 true", "thawed /0 true", "→ running thaw hooks", "20-b thaw …", "20-b thaw ended",
                "10-a thaw …", "10-a thaw ended", "finished: succeeded", "→ idle",
            ])
    }

    @Test("A request that fails, and each event with its request and channel")
    func failing() {
        var bench = MachineBench()
        _ = bench.freeze(.control)
        bench.goOn(to: .freezing)
        bench.send(.froze(0, bench.result()))
        bench.send(.froze(1, bench.result(.resourceBusy)))
        bench.end(running: nil)
        let told = bench.events.map(brief)
        #expect(told.count { $0.hasPrefix("failed") } == 1)
        #expect(told.last { $0.hasPrefix("failed") }?.hasPrefix("failed: /1: it is frozen already") == true)
        #expect(told.suffix(2) == ["finished: failed", "→ idle"])
        let begun = bench.history.compactMap { effect -> RequestProgress? in
            if case .progress(let progress) = effect { progress } else { nil }
        }.dropFirst().dropLast()
        #expect(begun.allSatisfy { $0.channel == .control && $0.request == RequestID("request 1") })
    }

    @Test("What a crash left, and a hook that hangs: started, ended, finished")
    func leftover() {
        let leftover = Leftover(
            requestID: RequestID("old"), channel: MachineBench.host, hooksOwedThaw: [PlannedHook(name: "10-a")],
            stuck: [])
        var bench = MachineBench(recovered: leftover)
        bench.waitForDeadline()
        #expect(
            bench.events.map(brief) == [
                "→ idle", "failed: quiesced ended in the middle of this request; what it had frozen is thawed",
                "→ running thaw hooks", "10-a thaw …", "10-a thaw ended", "finished: failed", "→ idle",
            ])
    }

    // MARK: Overview

    @Test("The overview of a machine that has nothing to do")
    func idleOverview() {
        let overview = MachineBench().machine.overview
        #expect(overview.state == .idle)
        #expect(overview.request == nil)
        #expect(overview.channel == nil)
        #expect(overview.targets.isEmpty)
        #expect(overview.windowDeadline == nil)
        #expect(overview.runningHook == nil)
        #expect(!overview.isDryRun)
    }

    @Test("The overview of a request: the hook that runs")
    func hookOverview() {
        let (bench, _) = MachineBench.request(of: .control, in: .freezeHooks)
        #expect(bench.machine.overview.runningHook == "10-a")
        #expect(bench.machine.overview.windowDeadline == nil)
        #expect(bench.machine.overview.targets.map(\.progress) == [.planned, .planned, .planned])
    }

    @Test("The overview of a request: how far each filesystem is, and until when")
    func windowOverview() {
        var (bench, _) = MachineBench.request(of: .control, in: .freezing)
        let opened = bench.now
        bench.send(.froze(1, bench.result()))
        var overview = bench.machine.overview
        #expect(overview.state == .freezing)
        #expect(overview.since == opened)
        #expect(overview.request == RequestID("request 1"))
        #expect(overview.channel == .control)
        #expect(overview.windowDeadline == opened + RequestPolicy().maxWindow)
        #expect(overview.targets.map(\.mountPoint) == ["/0", "/1", "/2"])
        #expect(overview.targets.map(\.progress) == [.freezing, .frozen, .planned])
        #expect(overview.failure == nil)
        bench.waitForDeadline()
        bench.send(.thawed(1, bench.result()))
        overview = bench.machine.overview
        #expect(overview.targets.map(\.progress) == [.freezing, .settled, .planned])
        #expect(overview.failure?.hasPrefix("/0: not frozen within freeze.timeout") == true)
        bench.waitForDeadline()
        bench.waitForDeadline()
        #expect(bench.machine.overview.stuck == ["/0"])
    }

    @Test("The overview names those whose window was lost")
    func lostOverview() {
        var (bench, _) = MachineBench.request(of: .control, in: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(bench.machine.overview.lost[.control]?.contains("max_window") == true)
    }

    @Test("The overview of a rehearsal: nothing is frozen, so there is no window")
    func dryOverview() {
        var bench = MachineBench(policy: DryRunTests.policy())
        bench.send(.registered(.control, isStandIn: true))
        _ = bench.freeze(.control)
        bench.goOn(to: .rehearsing)
        #expect(bench.machine.overview.isDryRun)
        #expect(bench.machine.overview.windowDeadline == nil)
    }
}
