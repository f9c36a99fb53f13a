import SystemPackage
import Testing

@testable import FreezeCore

@Suite("Tasks that sleep inside a write")
struct WriteHolderTests {
    private static let flushes: [RequestState] = [.flushing, .flushingAgain]

    private func holder(_ process: Int32 = 100, on mountPoint: FilePath? = "/1", progress: UInt64 = 1)
        -> WriteHolder
    {
        WriteHolder(
            processID: process, command: "d\u{1B}d", userID: 1000, file: "/1/file", mountPoint: mountPoint,
            write: .init(threadID: process, systemCall: "275", progress: progress))
    }

    /// A request with a flush in progress and a search answered by the test.
    private func bench(in state: RequestState) throws -> (MachineBench, OperationID, WorkID) {
        var bench = MachineBench()
        let freeze = bench.freeze()
        if state == .flushingAgain { bench.goOn(to: .freezeHooks) }
        if state == .flushingAgain { bench.send(.hookFinished(try #require(bench.work), bench.run(0, .freeze))) }
        bench.findsNoWriteHolders = false
        if state == .flushingAgain {
            bench.send(.hookFinished(try #require(bench.work), bench.run(1, .freeze)))
        } else {
            bench.send(.opened(try #require(bench.work), PlannedRequest(plan: bench.plan, hooks: bench.hooks)))
            bench.send(.freezerPrepared)
        }
        #expect(bench.machine.state == state)
        return (bench, freeze, try #require(search(of: bench)))
    }

    private func search(of bench: MachineBench) -> WorkID? {
        for case .findWriteHolders(let work, _) in bench.effects { return work }
        return nil
    }

    @Test("P1: a task that stays asleep fails the request, by name", arguments: flushes)
    func asleep(state: RequestState) throws {
        var (bench, freeze, work) = try bench(in: state)
        bench.flushAll(work)
        bench.send(.writeHoldersFound(work, [holder(), holder(101)]))
        #expect(bench.machine.state == state && bench.effects.isEmpty)
        bench.waitForDeadline()
        #expect(search(of: bench) == work)
        bench.send(.writeHoldersFound(work, [holder()]))
        #expect(bench.verdict(of: freeze) == .failure)
        let reason = bench.told(freeze)?.detail.reason
        #expect(
            reason
                == "/1: not frozen, for its freeze would hang: process 100 (d\\033d) of user 1000 sleeps in a write to "
                + "/1/file. Run `kill 100`.")
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.subject == .filesystem("/1"))
        #expect(bench.lastRecord?.windowOpened == nil)
        #expect(bench.lastRecord?.filesystems.map(\.holders.count) == [0, 1, 0])
    }

    @Test("A task whose write makes progress, or ends, fails no request", arguments: flushes)
    func wakesUp(state: RequestState) throws {
        var (bench, _, work) = try bench(in: state)
        bench.flushAll(work)
        bench.send(.writeHoldersFound(work, [holder(), holder(101)]))
        bench.waitForDeadline()
        bench.send(.writeHoldersFound(work, [holder(progress: 2), holder(102)]))
        #expect(bench.machine.state == (state == .flushing ? .freezeHooks : .checking))
    }

    @Test("Without a sleeping task it goes on as soon as both are done", arguments: flushes, [true, false])
    func nobody(state: RequestState, isFlushFirst: Bool) throws {
        var (bench, _, work) = try bench(in: state)
        let begun = bench.now
        if isFlushFirst { bench.flushAll(work) } else { bench.send(.writeHoldersFound(work, [])) }
        #expect(bench.machine.state == state)
        if isFlushFirst { bench.send(.writeHoldersFound(work, [])) } else { bench.flushAll(work) }
        #expect(bench.machine.state == (state == .flushing ? .freezeHooks : .checking))
        #expect(bench.now - begun < .milliseconds(10))
    }

    @Test("P9: a look that does not end is not waited for")
    func silent() throws {
        var (bench, _, work) = try bench(in: .flushing)
        let begun = bench.now
        bench.flushAll(work)
        bench.waitForDeadline()
        #expect(bench.now - begun == bench.machine.policy.writeHolderPatience)
        #expect(bench.machine.state == .freezeHooks)
        // The late answer has no effect.
        bench.send(.writeHoldersFound(work, [holder()]))
        #expect(bench.machine.state == .freezeHooks)
    }

    @Test("P1: a task that cannot be looked at again counts as asleep")
    func silentAgain() throws {
        var (bench, freeze, work) = try bench(in: .flushing)
        bench.send(.writeHoldersFound(work, [holder()]))
        bench.waitForDeadline()
        bench.waitForDeadline()
        #expect(bench.told(freeze)?.verdict == .failure)
    }

    @Test("P1: a sleeping task is seen while the flush itself still hangs")
    func flushHangs() throws {
        var (bench, freeze, work) = try bench(in: .flushing)
        bench.send(.writeHoldersFound(work, [holder(on: nil)]))
        bench.waitForDeadline()
        bench.send(.writeHoldersFound(work, [holder(on: nil)]))
        let reason = try #require(bench.told(freeze)?.detail.reason)
        #expect(reason.hasPrefix("a filesystem that is in no mount table: not frozen"), "\(reason)")
    }

    // MARK: While a FIFREEZE hangs

    private func stuckBench() throws -> (MachineBench, WorkID) {
        var (bench, freeze) = MachineBench.request(of: MachineBench.host, in: .freezing)
        bench.findsNoWriteHolders = false
        bench.send(.froze(0, bench.result()))
        bench.waitForDeadline()
        bench.send(.thawed(0, bench.result()))
        bench.send(.thawFinished)
        bench.waitForDeadline()
        // The host does not wait for the names.
        #expect(bench.verdict(of: freeze) == .failure)
        return (bench, try #require(search(of: bench)))
    }

    @Test(
        "P9: who keeps a FIFREEZE hanging is in status, record, log and the next refusal",
        arguments: [true, false])
    func stuck(isFoundFirst: Bool) throws {
        var (bench, work) = try stuckBench()
        if isFoundFirst {
            let hook = try #require(bench.work)
            bench.send(.writeHoldersFound(work, [holder()]))
            bench.send(.hookFinished(hook, bench.run(1, .thaw)))
            bench.goOn(to: .idle)
        }
        if !isFoundFirst {
            bench.goOn(to: .idle)
            #expect(bench.lastRecord == nil)
            bench.send(.writeHoldersFound(work, [holder()]))
        }
        #expect(bench.machine.state == .idle)
        #expect(bench.lastRecord?.filesystems[1].holders == [holder()])
        #expect(bench.machine.overview.holders == [holder()])
        let notes = bench.history.compactMap { if case .note(let note) = $0 { note } else { nil } }
        let note = notes.first { $0.fields[.messageID] == MessageID.writeAccessHeld.rawValue }
        #expect(note?.fields[.processID] == "100" && note?.fields[.userID] == "1000")
        #expect(note?.message.contains("Run `kill 100`.") == true)

        let next = bench.freeze()
        #expect(bench.told(next)?.detail.reason?.contains("process 100") == true)
        bench.goOn(to: .idle)
        bench.send(.froze(1, bench.result()))
        bench.send(.thawed(1, bench.result()))
        #expect(bench.machine.overview.holders == [])
    }

    @Test("P9: the record waits for the names, but not for long")
    func recordWaits() throws {
        var (bench, work) = try stuckBench()
        let begun = bench.now
        bench.goOn(to: .idle)
        #expect(bench.machine.state == .thawHooks)
        bench.waitForDeadline()
        #expect(bench.now - begun <= bench.machine.policy.stuckHolderLimit)
        #expect(bench.machine.state == .idle && bench.lastRecord != nil)
        bench.send(.writeHoldersFound(work, [holder()]))
        #expect(bench.machine.overview.holders == [])
    }
}
