import Testing

@testable import FreezeCore

@Suite("A window that is held by a connection")
struct HoldTests {
    static let hold = ChannelID.hold(7)

    @Test(
        "P1, P4: its end ends the request at any moment, and nothing is kept of it", arguments: WindowTests.active)
    func lost(state: RequestState) {
        var (bench, _) = MachineBench.request(of: Self.hold, in: state)
        let running = bench.work
        bench.send(.channelLost(Self.hold, reason: "the connection has ended"))
        #expect(bench.contains(.thaw) == WindowTests.window.contains(state))
        bench.end(running: running)
        #expect(bench.machine.state == .idle)
        #expect(bench.machine.debts.isEmpty)
        // From the thaw hooks on the caller had its answer.
        #expect(bench.lastRecord?.result == (state == .thawHooks ? .succeeded : .failed))
        if state != .thawHooks {
            #expect(bench.lastRecord?.reason == "the channel was lost: the connection has ended")
        }
        let next = bench.freeze(.hold(8))
        bench.goOn(to: .frozen)
        #expect(bench.told(next)?.verdict == .success)
    }

    @Test("Its end is nobody else's: the request of another goes on", arguments: WindowTests.active)
    func lostBesides(state: RequestState) {
        var (bench, freeze) = WindowTests.bench(in: state)
        let pending = bench.effects
        let held = bench.freeze(Self.hold)
        #expect(bench.told(held)?.detail.refusal == .busy)
        bench.send(.channelLost(Self.hold, reason: "the connection has ended"))
        #expect(bench.machine.state == state)
        #expect(bench.machine.debts.isEmpty)
        bench.effects = pending
        if state != .thawing, state != .thawHooks { bench.goOn(to: .frozen) }
        #expect(bench.told(freeze)?.verdict == .success)
    }

    @Test("P8: its own second FREEZE is busy, and the window goes on")
    func second() {
        var (bench, _) = MachineBench.request(of: Self.hold, in: .frozen)
        let second = bench.freeze(Self.hold)
        #expect(bench.told(second)?.detail.refusal == .busy)
        let thaw = bench.thaw(Self.hold)
        bench.goOn(to: .idle)
        #expect(bench.told(thaw)?.verdict == .success)
        #expect(bench.lastRecord?.result == .succeeded)
    }

    @Test("P3: a window whose caller has no snapshot is thawed as asked, and on record as failed")
    func failure() {
        var (bench, _) = MachineBench.request(of: Self.hold, in: .frozen)
        bench.send(
            .thaw(Self.hold, OperationID(number: 99), ThawWish(failure: "the command exited with status 1")))
        bench.goOn(to: .idle)
        #expect(bench.told(OperationID(number: 99))?.verdict == .success)
        #expect(bench.lastRecord?.result == .failed)
        #expect(bench.lastRecord?.reason == "the command exited with status 1")
        #expect(bench.machine.debts.isEmpty)
    }

    @Test("A FREEZE that waits goes with its connection")
    func lostWaiting() {
        var (bench, _) = MachineBench.request(of: Self.hold, in: .thawHooks)
        let running = bench.work
        let next = bench.freeze(Self.hold)
        bench.send(.channelLost(Self.hold, reason: "the connection has ended"))
        bench.end(running: running)
        #expect(bench.machine.state == .idle)
        #expect(bench.told(next) == nil)
    }

    @Test("P8: two who hold are strangers: one is busy, and its THAW ends nothing")
    func strangers() {
        var (bench, _) = MachineBench.request(of: Self.hold, in: .frozen)
        let freeze = bench.freeze(.hold(8))
        #expect(bench.told(freeze)?.detail.refusal == .busy)
        let thaw = bench.thaw(.hold(8))
        #expect(bench.told(thaw)?.verdict == .success, "it follows a FREEZE that failed")
        let again = bench.thaw(.hold(8))
        #expect(bench.told(again)?.detail.refusal == .notOwner)
        #expect(bench.machine.state == .frozen)
        #expect(bench.machine.owner == Self.hold)
    }

    @Test("P3: its THAW after max_window fails, and what is left of it goes with the connection")
    func expired() {
        var (bench, _) = MachineBench.request(of: Self.hold, in: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        let pending = bench.machine
        let thaw = bench.thaw(Self.hold)
        #expect(bench.told(thaw)?.detail.refusal == .lost)
        bench.machine = pending
        #expect(bench.machine.lostChannels[Self.hold] != nil)
        bench.send(.channelLost(Self.hold, reason: "the connection has ended"))
        #expect(bench.machine.debts.isEmpty)
    }

    @Test("P3: a window that was held and thawed by force is LOST to its holder")
    func forced() {
        var (bench, _) = MachineBench.request(of: Self.hold, in: .frozen)
        let refused = bench.thaw(.control)
        #expect(bench.told(refused)?.detail.refusal == .notOwner)
        _ = bench.thaw(.control, isForced: true)
        bench.end(running: nil)
        let thaw = bench.thaw(Self.hold)
        #expect(bench.told(thaw)?.detail.refusal == .lost)
    }
}
