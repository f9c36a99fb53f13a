import FreezeCore
import SystemPackage
import Testing

/// A failure is looked for by the name of what it is about.
@Suite("What a failure names")
struct FailureSubjectTests {
    private func flushed(_ work: WorkID, _ index: Int, _ error: Errno?) -> RequestEvent {
        let moment = Moment(nanoseconds: 1)
        return .flushed(
            work, DeviceNumber(major: 8, minor: UInt32(index)),
            TimedResult(error: error, started: moment, ended: moment))
    }

    @Test(
        "A filesystem that cannot be flushed, the first one", arguments: [RequestState.flushing, .flushingAgain])
    func flushFails(state: RequestState) throws {
        var (bench, _) = WindowTests.bench(in: state)
        let work = try #require(bench.work)
        bench.send(flushed(work, 2, nil))
        bench.send(flushed(work, 1, .ioError))
        let pending = bench.effects
        bench.send(flushed(work, 0, .ioError))
        bench.effects = pending
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
        #expect(bench.lastRecord?.reason?.hasPrefix("/1: flushing it failed") == true)
    }

    @Test("A filesystem whose flush takes too long")
    func flushHangs() throws {
        var (bench, _) = WindowTests.bench(in: .flushing)
        bench.send(flushed(try #require(bench.work), 0, nil))
        bench.waitForDeadline()
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
    }

    @Test("A hook that fails", arguments: HookTests.failures)
    func hookFails(outcome: HookOutcome) throws {
        var (bench, _) = WindowTests.bench(in: .freezeHooks)
        bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze, outcome)))
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .hook("10-a"))
    }

    @Test("A hook that never reports")
    func hookHangs() {
        var (bench, _) = WindowTests.bench(in: .freezeHooks)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .hook("10-a"))
    }

    @Test("A hook that is refused")
    func hookRefused() {
        var bench = MachineBench()
        bench.hooks = [PlannedHook(name: "10-a"), PlannedHook(name: "20-b", refusal: "writable by others")]
        _ = bench.freeze()
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .hook("20-b"))
    }

    @Test("A filesystem that cannot be frozen", arguments: [Errno.resourceBusy, .ioError, .readOnlyFileSystem])
    func freezeFails(error: Errno) {
        var (bench, _) = WindowTests.bench(in: .freezing)
        bench.send(.froze(1, bench.result(error)))
        bench.send(.froze(0, bench.result()))
        bench.end(running: nil)
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
    }

    @Test("A filesystem that is not frozen in time")
    func freezeHangs() {
        var (bench, _) = WindowTests.bench(in: .freezing)
        bench.send(.froze(0, bench.result()))
        bench.waitForDeadline()
        bench.end(running: nil)
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
    }

    @Test("A filesystem that somebody else thawed")
    func foreignThaw() {
        var (bench, _) = WindowTests.bench(in: .thawing)
        bench.send(.thawed(2, bench.result()))
        bench.send(.thawed(1, bench.result(.invalidArgument)))
        bench.send(.thawed(0, bench.result()))
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
    }

    @Test("A filesystem that hangs, in its own request and in the next one")
    func stuck() {
        var (bench, _) = WindowTests.bench(in: .thawing)
        for index in [2, 0] { bench.send(.thawed(index, bench.result())) }
        bench.send(.thawFinished)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
        let next = bench.freeze()
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
        #expect(bench.told(next)?.detail.reason == bench.lastRecord?.reason)
        // Both were told as they happened.
        let failures = bench.events.count { if case .failed = $0 { true } else { false } }
        #expect(failures == 2)
    }

    @Test("Nothing, where nothing has a name")
    func none() throws {
        var (bench, _) = WindowTests.bench(in: .planning)
        bench.send(.channelLost(MachineBench.host, reason: "hung up"))
        #expect(bench.lastRecord?.result == .failed)
        #expect(bench.lastRecord?.subject == nil)
    }

    @Test("The first thing that went wrong, whatever follows")
    func first() {
        var (bench, _) = WindowTests.bench(in: .frozen)
        bench.waitForDeadline()
        bench.send(.thawed(2, bench.result(.invalidArgument)))
        bench.end(running: nil)
        #expect(bench.lastRecord?.reason?.contains("max_window") == true)
        #expect(bench.lastRecord?.subject == nil)
    }
}
