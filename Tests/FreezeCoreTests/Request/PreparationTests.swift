import FreezeCore
import SystemPackage
import Testing

/// From the request to a freezer that holds every descriptor, and the life of the freezer meanwhile.
@Suite("Preparation")
struct PreparationTests {
    /// A machine whose freezer the test starts.
    private func bench(isReady: Bool = true) -> MachineBench {
        var bench = MachineBench(recovering: RequestPolicy())
        bench.startsFreezer = false
        if isReady { bench.send(.freezerReady) }
        bench.send(.recovered(nil))
        return bench
    }

    /// A request whose filesystems are open.
    private func openedBench(isReady: Bool = true) throws -> (MachineBench, OperationID) {
        var bench = bench()
        if !isReady { bench.send(.freezerEnded(how: "killed")) }
        let freeze = bench.freeze()
        bench.send(.opened(try #require(bench.work), PlannedRequest(plan: bench.plan, hooks: bench.hooks)))
        return (bench, freeze)
    }

    private func isHandedOver(_ bench: MachineBench) -> Bool {
        bench.effects.contains { if case .handOver = $0 { true } else { false } }
    }

    @Test("The first effects start the freezer and the recovery")
    func start() {
        let bench = MachineBench(recovering: RequestPolicy())
        #expect(bench.effects == [.startFreezer, .recover])
    }

    // MARK: Channels

    @Test("Channels are opened once the recovery is over and a freezer is ready", arguments: [true, false])
    func channels(isReadyFirst: Bool) {
        var bench = bench(isReady: isReadyFirst)
        #expect(bench.contains(.openChannels) == isReadyFirst)
        bench.send(.freezerReady)
        #expect(bench.contains(.openChannels) == !isReadyFirst)
        bench.send(.freezerEnded(how: "killed"))
        bench.send(.freezerReady)
        #expect(bench.effects.isEmpty, "they are opened once")
    }

    @Test("A freezer that cannot be started keeps the channels closed no longer")
    func channelsWithoutFreezer() {
        var bench = bench(isReady: false)
        bench.send(.freezerEnded(how: "no such file"))
        #expect(bench.effects == [.openChannels, .startFreezer])
    }

    @Test("A quiesced that is stopping opens no channels")
    func channelsWhileStopping() {
        let leftover = Leftover(
            requestID: RequestID("old"), channel: MachineBench.host, hooksOwedThaw: [PlannedHook(name: "10-a")],
            stuck: [])
        var bench = MachineBench(recovering: RequestPolicy())
        bench.send(.recovered(leftover))
        bench.send(.shutdown(reason: "SIGTERM"))
        bench.send(.freezerReady)
        #expect(!bench.contains(.openChannels))
    }

    // MARK: Handing over

    @Test("P1: nothing goes on before the freezer has confirmed what it was handed")
    func confirmation() throws {
        var (bench, _) = try openedBench()
        #expect(isHandedOver(bench))
        #expect(bench.machine.state == .planning)
        bench.send(.freezerPrepared)
        #expect(bench.machine.state == .flushing)
    }

    @Test("A confirmation that nobody waits for means nothing")
    func earlyConfirmation() {
        var bench = bench()
        _ = bench.freeze()
        bench.send(.freezerPrepared)
        bench.send(.freezerRefused(.noMemory))
        bench.send(.handOverFailed(WorkID(number: 0), reason: ""))
        #expect(bench.machine.state == .planning && bench.effects.isEmpty)
    }

    @Test("A request waits for a freezer that is being started again")
    func notReady() throws {
        var (bench, _) = try openedBench(isReady: false)
        #expect(!isHandedOver(bench))
        bench.send(.freezerReady)
        #expect(isHandedOver(bench))
        bench.goOn(to: .frozen)
        #expect(bench.machine.state == .frozen)
    }

    @Test("A freezer that ends before it has confirmed has a successor, which is handed the same")
    func successor() throws {
        var (bench, freeze) = try openedBench()
        bench.send(.freezerEnded(how: "killed"))
        #expect(bench.effects == [.startFreezer])
        // A report of the dead one that was on its way.
        bench.send(.freezerPrepared)
        #expect(bench.machine.state == .planning)
        bench.send(.freezerReady)
        #expect(isHandedOver(bench))
        bench.goOn(to: .frozen)
        #expect(bench.verdict(of: freeze) == .success)
    }

    @Test("A freezer that was never ready fails the request", arguments: [true, false])
    func neverReady(isOpened: Bool) throws {
        var (bench, freeze) = isOpened ? try openedBench(isReady: false) : (bench(isReady: false), nil)
        let operation = freeze ?? bench.freeze()
        bench.send(.freezerEnded(how: "exit status 1"))
        #expect(bench.verdict(of: operation) == .failure)
        #expect(bench.lastRecord?.reason == "the freezer ended (exit status 1)")
        #expect(bench.contains(.startFreezer))
    }

    @Test("A freezer that refuses, or cannot be given the request, fails the request, by its reason")
    func refused() throws {
        var (bench, freeze) = try openedBench()
        let (other, work) = (bench, try #require(bench.work))
        bench.send(.freezerRefused(.noMemory))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.lastRecord?.reason?.hasPrefix("the freezer could not get ready: ") == true)
        bench = other
        bench.send(.handOverFailed(work, reason: "no descriptor"))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.lastRecord?.reason == "the freezer cannot be given the request: no descriptor")
        #expect(bench.lastRecord?.filesystems.count == 3)
    }

    @Test("A plan is opened again only after the freezer has been told to let go of the last one")
    func withdrawn() throws {
        var bench = bench()
        _ = bench.freeze()
        bench.goOn(to: .checking)
        bench.send(.mountsChecked(try #require(bench.work), change: "/x", allFrozen: false))
        #expect(bench.effects.first == .withdraw)
        guard case .openAgain? = bench.effects.last else { return #expect(Bool(false), "\(bench.effects)") }
        bench.goOn(to: .frozen)
        #expect(bench.machine.state == .frozen)
    }

    // MARK: Time

    @Test("P9: who is to blame for a preparation that takes too long is named")
    func timeouts() throws {
        var bench = bench()
        _ = bench.freeze()
        bench.waitForDeadline()
        #expect(bench.lastRecord?.reason?.contains("a device or filesystem does not answer") == true)
        #expect(!bench.contains(.killFreezer))
        bench = try openedBench(isReady: false).0
        bench.waitForDeadline()
        #expect(bench.lastRecord?.reason == "no freezer was ready within 10s")
        #expect(!bench.contains(.killFreezer))
    }

    @Test("A freezer that does not answer is killed, and its end harms no later request")
    func silent() throws {
        var (bench, freeze) = try openedBench()
        let begun = bench.now
        bench.waitForDeadline()
        #expect(bench.now - begun <= bench.machine.policy.planTimeout)
        #expect(bench.contains(.killFreezer))
        #expect(bench.verdict(of: freeze) == .failure)
        #expect(bench.lastRecord?.reason == "the freezer does not answer; it is replaced")
        let second = bench.freeze()
        bench.send(.opened(try #require(bench.work), PlannedRequest(plan: bench.plan, hooks: bench.hooks)))
        #expect(!isHandedOver(bench), "the freezer is being killed")
        bench.send(.freezerEnded(how: "killed"))
        #expect(bench.effects == [.startFreezer])
        bench.send(.freezerReady)
        bench.goOn(to: .frozen)
        #expect(bench.verdict(of: second) == .success)
    }

    // MARK: Its end

    @Test("P7: a freezer that ends in the window is started again after the window", arguments: WindowTests.window)
    func restart(state: RequestState) {
        var (bench, _) = WindowTests.bench(in: state)
        bench.startsFreezer = false
        bench.send(.freezerEnded(how: "killed"))
        #expect(!bench.contains(.startFreezer))
        for index in [2, 1, 0] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.machine.state == .thawHooks)
        #expect(bench.contains(.startFreezer))
    }

    @Test("P1: a freezer that was killed and hangs is taken over at once, and its end is no second loss")
    func hanging() {
        var (bench, _) = WindowTests.bench(in: .freezing)
        bench.startsFreezer = false
        bench.send(.froze(0, bench.result()))
        bench.waitForDeadline()
        #expect(bench.contains(.thaw))
        bench.send(.freezerHangs)
        #expect(bench.contains(.takeOverThaw))
        bench.send(.thawed(0, bench.result()))
        bench.waitForDeadline()
        #expect(bench.machine.isStuck)
        bench.goOn(to: .idle)
        bench.send(.freezerEnded(how: "killed"))
        #expect(bench.effects == [.startFreezer])
    }
}
