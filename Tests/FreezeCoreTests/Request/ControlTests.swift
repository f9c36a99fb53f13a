import Testing

@testable import FreezeCore

@Suite("Requests by hand")
struct ControlTests {
    static let unfinished = WindowTests.active.filter { $0 != .thawing && $0 != .thawHooks }
    static let active = WindowTests.active.filter { $0 != .thawHooks }

    // MARK: P8

    @Test(
        "P8: of two callers the second is busy at once, and the first gets what he asked for",
        arguments: unfinished)
    func busy(state: RequestState) throws {
        var (bench, first) = MachineBench.request(of: .control, in: state)
        let pending = bench.effects
        let second = bench.freeze(.control)
        #expect(bench.answers.map(\.operation) == [second])
        #expect(bench.told(second)?.detail.refusal == .busy)
        #expect(bench.told(second)?.detail.request == RequestID("request \(first.number)"))
        #expect(bench.effects.count == 1)
        #expect(bench.machine.state == state)
        #expect(bench.machine.overview.failure == nil)
        bench.effects = pending
        bench.goOn(to: .frozen)
        #expect(bench.told(first)?.verdict == .success)
        let thaw = bench.thaw(.control)
        bench.goOn(to: .idle)
        #expect(bench.told(thaw)?.verdict == .success)
        #expect(bench.told(thaw)?.detail.refusal == nil)
    }

    @Test(
        "P8: while the first is being ended the next one waits, and only the one after is busy",
        arguments: [true, false])
    func waiting(isThawing: Bool) {
        var (bench, _) = MachineBench.request(of: .control, in: isThawing ? .thawing : .thawHooks)
        let pending = bench.effects
        let next = bench.freeze(.control)
        #expect(bench.told(next) == nil)
        let third = bench.freeze(.control)
        #expect(bench.told(third)?.detail.refusal == .busy)
        bench.effects = pending
        bench.goOn(to: .planning)
        bench.goOn(to: .frozen)
        #expect(bench.told(next)?.verdict == .success)
    }

    @Test("P3: who comes late does not end, and take for his own, the window of another caller")
    func lateThaw() throws {
        var (bench, first) = MachineBench.request(of: .control, in: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        _ = bench.freeze(.control)
        bench.goOn(to: .frozen)
        for isForced in [false, true] {
            let late = bench.thaw(.control, of: RequestID("request \(first.number)"), isForced: isForced)
            #expect(bench.told(late)?.verdict == .failure)
            #expect(bench.told(late)?.detail.refusal == .lost)
            #expect(bench.machine.state == .frozen)
        }
        let own = bench.thaw(.control, of: bench.machine.requestID)
        bench.goOn(to: .idle)
        #expect(bench.told(own)?.verdict == .success)
    }

    @Test(
        "P8: another channel's request makes it busy, and what was refused needs no THAW",
        arguments: WindowTests.active)
    func foreign(state: RequestState) {
        var (bench, _) = WindowTests.bench(in: state)
        let freeze = bench.freeze(.control)
        #expect(bench.told(freeze)?.detail.refusal == .busy)
        let thaw = bench.thaw(.control)
        #expect(bench.told(thaw)?.detail.refusal == (state == .thawHooks ? .nothingFrozen : .notOwner))
        #expect(bench.machine.state == state)
        #expect(bench.machine.debts.isEmpty)
        let hotBackup = bench.hotBackup(.control)
        #expect(bench.told(hotBackup)?.verdict == .success)
    }

    @Test("No HOT_BACKUP of one caller ends another's window")
    func hotBackup() {
        var (bench, _) = MachineBench.request(of: .control, in: .frozen)
        let hotBackup = bench.hotBackup(.control)
        #expect(bench.told(hotBackup)?.verdict == .success)
        #expect(bench.machine.state == .frozen)
    }

    // MARK: THAW

    @Test("THAW of another channel's request is refused, and changes nothing", arguments: active)
    func notOwner(state: RequestState) {
        var (bench, freeze) = WindowTests.bench(in: state)
        let pending = bench.effects
        let thaw = bench.thaw(.control)
        #expect(bench.told(thaw)?.verdict == .failure)
        #expect(bench.told(thaw)?.detail.refusal == .notOwner)
        #expect(bench.told(thaw)?.detail.request == RequestID("request \(freeze.number)"))
        #expect(bench.machine.state == state)
        bench.effects = pending
        bench.goOn(to: state == .thawing ? .idle : .frozen)
        #expect(bench.told(freeze)?.verdict == .success)
    }

    @Test("With nothing frozen there is nothing to thaw, by force or not", arguments: [true, false])
    func nothingFrozen(isForced: Bool) {
        var bench = MachineBench()
        let thaw = bench.thaw(.control, isForced: isForced)
        #expect(bench.told(thaw)?.verdict == .failure)
        #expect(bench.told(thaw)?.detail.refusal == .nothingFrozen)
    }

    @Test("P3: a FREEZE that failed leaves nothing for THAW to end")
    func failedFreeze() throws {
        var (bench, freeze) = MachineBench.request(of: .control, in: .planning)
        bench.send(.openingFailed(try #require(bench.work), reason: "no", plan: nil))
        #expect(bench.told(freeze)?.detail.refusal == .failed)
        #expect(bench.told(freeze)?.detail.reason == "no")
        let thaw = bench.thaw(.control)
        #expect(bench.told(thaw)?.detail.refusal == .nothingFrozen)
    }

    @Test("P3: THAW before FROZEN cancels: FREEZE fails, then THAW succeeds", arguments: unfinished.dropLast())
    func cancel(state: RequestState) {
        var (bench, freeze) = MachineBench.request(of: .control, in: state)
        let running = bench.work
        let thaw = bench.thaw(.control)
        bench.end(running: running)
        #expect(bench.told(freeze)?.detail.refusal == .failed)
        #expect(bench.told(thaw)?.verdict == .success)
        #expect(bench.told(thaw)?.detail.reason == nil)
        let again = bench.thaw(.control)
        #expect(bench.told(again)?.detail.refusal == .nothingFrozen)
    }

    @Test("P3: of two THAWs the second is told that there is nothing left to thaw")
    func secondThaw() {
        var (bench, _) = MachineBench.request(of: .control, in: .thawing)
        let second = bench.thaw(.control)
        bench.end(running: nil)
        #expect(bench.told(second)?.verdict == .failure)
        #expect(bench.told(second)?.detail.refusal == .nothingFrozen)
        #expect(bench.told(second)?.detail.reason != nil)
    }

    @Test("P3: THAW after max_window is told that the window is LOST, once")
    func expired() {
        var (bench, _) = MachineBench.request(of: .control, in: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        let late = bench.thaw(.control)
        #expect(bench.told(late)?.detail.refusal == .lost)
        #expect(
            bench.told(late)?.detail.reason
                == "THAW did not come within freeze.max_window (60s): everything was thawed, the snapshot may be torn"
        )
        let later = bench.thaw(.control)
        #expect(bench.told(later)?.detail.refusal == .nothingFrozen)
    }

    @Test("A window that exec held too long is on record as that, with the limit")
    func expiredUnderACommand() {
        var (bench, _) = MachineBench.request(of: MachineBench.other, in: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(
            bench.lastRecord?.reason
                == "the command ran longer than freeze.max_window (60s): everything was thawed, the "
                + "snapshot may be torn")
    }

    // MARK: Cancelled

    @Test("A FREEZE that its caller cancels is on record as that", arguments: unfinished)
    func cancelled(state: RequestState) {
        var (bench, _) = MachineBench.request(of: .control, in: state)
        let running = bench.work
        let before = bench.lastRecord
        bench.send(
            .thaw(
                .control, OperationID(number: 4711),
                ThawWish(request: bench.machine.requestID, failure: "cancelled")))
        bench.end(running: running)
        #expect(before == nil && bench.lastRecord?.result == .failed)
        if state != .thawing { #expect(bench.lastRecord?.reason == "cancelled") }
    }

    @Test("A window that another connection holds is cancelled by its request's id")
    func cancelledByID() {
        var (bench, _) = MachineBench.request(of: MachineBench.other, in: .flushing)
        let running = bench.work
        bench.send(
            .thaw(
                .control, OperationID(number: 4711),
                ThawWish(request: bench.machine.requestID, isForced: true, failure: "cancelled")))
        bench.end(running: running)
        #expect(bench.lastRecord?.reason == "cancelled")
    }

    // MARK: By force

    @Test(
        "P1, P3: THAW by force ends any request; the owner's THAW fails if it was told success",
        arguments: unfinished)
    func force(state: RequestState) {
        var (bench, freeze) = WindowTests.bench(in: state)
        let running = bench.work
        let forced = bench.thaw(.control, isForced: true)
        #expect(bench.contains(.thaw) == WindowTests.window.contains(state))
        bench.end(running: running)
        #expect(bench.machine.state == .idle)
        #expect(bench.told(forced)?.verdict == .success)
        #expect(bench.lastRecord?.result == .failed)
        let isLost = state == .frozen
        #expect(bench.told(freeze)?.verdict == (isLost ? .success : .failure))
        #expect((bench.machine.lostChannels[MachineBench.host] != nil) == isLost)
        let thaw = bench.thaw()
        #expect(bench.told(thaw)?.detail.refusal == (isLost ? .lost : nil))
        if isLost { #expect(bench.told(thaw)?.detail.reason?.contains("by hand") == true) }
    }

    @Test("P1: THAW by force is not answered before all is thawed, and in time if it never is")
    func forceTakesTime() throws {
        var (bench, _) = WindowTests.bench(in: .frozen)
        let forced = bench.thaw(.control, isForced: true)
        for index in [2, 1] { bench.send(.thawed(index, bench.result())) }
        #expect(bench.told(forced) == nil)
        let begin = bench.now
        for _ in 0..<10 where bench.told(forced) == nil { bench.waitForDeadline() }
        // What hangs is no window of the control socket's that was lost.
        #expect(bench.told(forced)?.detail.refusal == .failed)
        let limit = try #require(ChannelRules.control.thawAnswerLimit)
        #expect(bench.now - begin <= limit)
        #expect(bench.machine.lostChannels[.control] == nil)
    }

    @Test("P3: force while the owner's own THAW is under way waits for it, and costs nobody his backup")
    func forceComesLate() {
        var (bench, _) = WindowTests.bench(in: .frozen)
        let thaw = bench.thaw()
        let forced = bench.thaw(.control, isForced: true)
        bench.end(running: nil)
        #expect(bench.told(thaw)?.verdict == .success)
        #expect(bench.told(forced)?.verdict == .success)
        #expect(bench.lastRecord?.result == .succeeded)
    }

    @Test("P3: force settles no debt of an earlier window by hand")
    func forceSettlesNothing() {
        var (bench, _) = MachineBench.request(of: .control, in: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        let forced = bench.thaw(.control, isForced: true)
        bench.end(running: nil)
        #expect(bench.told(forced)?.verdict == .success)
        #expect(bench.machine.lostChannels.keys.sorted { $0.name < $1.name } == [.control, MachineBench.host])
    }
}
