import FreezeCore
import SystemPackage
import Testing

/// The times of publications. The simulation tests random schedules.
struct PublicationTests {
    private static func bench() -> MachineBench {
        var policy = RequestPolicy()
        policy.publishesState = true
        var bench = MachineBench(policy: policy)
        bench.send(.pastRecalled)
        return bench
    }

    private static func idle() -> MachineBench {
        var bench = bench()
        bench.send(.publicationEnded(isDone: true))
        return bench
    }

    @Test func `the state is published at the start, once the past is known`() {
        var policy = RequestPolicy()
        policy.publishesState = true
        var bench = MachineBench(policy: policy)
        #expect(!bench.contains(.publish(isLast: false)))
        bench.send(.pastRecalled)
        #expect(bench.effects == [.publish(isLast: false)])
    }

    @Test func `P7 the state is published after the request, when its record is written`() {
        var bench = Self.idle()
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        #expect(!bench.contains(.publish(isLast: false)))
        bench.send(.recorded)
        #expect(bench.effects == [.publish(isLast: false)])
    }

    @Test func `P7 a request ends a publication, waits for none, and the state is published after it`() {
        var bench = Self.bench()
        _ = bench.freeze()
        #expect(bench.contains(.cancelPublication))
        // The publication hangs.
        let isFrozen = bench.goOn(to: .frozen)
        #expect(isFrozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        bench.send(.recorded)
        #expect(bench.effects == [])
        bench.send(.publicationEnded(isDone: false))
        #expect(bench.effects == [.publish(isLast: false)])
    }

    @Test func `a failed publication is tried again after a pause`() {
        var bench = Self.bench()
        bench.send(.publicationEnded(isDone: false))
        #expect(bench.effects == [.pauseBeforePublication])
        bench.send(.recorded)
        #expect(bench.effects == [.publish(isLast: false)])
        bench.send(.publicationEnded(isDone: false))
        #expect(bench.effects == [])
        bench.send(.publicationDue)
        #expect(bench.effects == [.publish(isLast: false)])
    }

    @Test func `a new attention, and the acknowledgement of it, are published`() {
        var bench = Self.idle()
        bench.send(
            .attentionRecalled([
                Attention(hook: "10-a", request: RequestID("r"), problem: "failed", since: Moment(nanoseconds: 0))
            ]))
        #expect(bench.effects == [.publish(isLast: false)])
        bench.send(.publicationEnded(isDone: true))
        bench.send(.acknowledge(.control, OperationID(number: 1)))
        #expect(bench.contains(.publish(isLast: false)))
    }

    @Test func `the stop is published`() {
        var bench = Self.idle()
        bench.send(.shutdown(reason: "stop"))
        #expect(bench.effects == [.publish(isLast: true), .exit])
    }

    @Test func `nothing is published without a publisher`() {
        var bench = MachineBench()
        bench.send(.pastRecalled)
        bench.send(.recorded)
        bench.send(.shutdown(reason: "stop"))
        #expect(bench.effects == [.exit])
    }
}

/// The state in one word.
struct BackupStateTests {
    private enum Request: String {
        case good, bad, lost, rehearsed, failedRehearsal, part, failedPart, dryRun
    }

    private static func record(_ request: Request) -> RequestRecord {
        let clock = WallClock(moment: Moment(nanoseconds: 0), wallTime: WallTime(milliseconds: 0))
        var record = RequestRecord(id: RequestID("\(request)"), channel: .hyperV, clock: clock)
        switch request {
        case .good, .rehearsed, .part, .dryRun: record.result = .succeeded
        case .bad, .lost, .failedRehearsal, .failedPart: record.result = .failed
        }
        record.isAnsweredWithSuccess = request == .lost
        record.options.isRehearsal = request == .rehearsed || request == .failedRehearsal
        record.isDryRun = request == .dryRun
        if request == .part || request == .failedPart { record.options.mountPoints = ["/srv"] }
        return record
    }

    private static func report(_ requests: [Request], attention: [String] = []) -> StateReport {
        var recent = RecentRequests()
        for request in requests { recent.add(newer: record(request)) }
        return StateReport(
            requests: recent, attention: attention, daemon: .running, time: WallTime(milliseconds: 0))
    }

    private static let cases: [([Request], BackupState)] = [
        ([], .attention),
        ([.good], .ok),
        ([.bad], .failed),
        ([.good, .bad], .failed),
        ([.good, .lost], .failed),
        ([.lost, .good], .ok),
        // Rehearsals and dry runs do not change the state.
        ([.good, .failedRehearsal], .ok),
        ([.bad, .rehearsed], .failed),
        ([.rehearsed], .attention),
        ([.dryRun], .attention),
        ([.bad, .dryRun], .failed),
        // A request for a part is no backup of the machine, but the failure of the request counts.
        ([.part], .attention),
        ([.bad, .part], .failed),
        ([.good, .failedPart], .failed),
        ([.good, .failedPart, .part], .ok),
        ([.failedPart, .good], .ok),
    ]

    @Test func `P2 P3 no failure is ok`() {
        for (requests, state) in Self.cases {
            #expect(Self.report(requests).state == state, "\(requests)")
            #expect(Self.report(requests).causes.isEmpty == (state == .ok), "\(requests)")
        }
    }

    @Test func `a failure wins over attention, and attention over ok`() {
        #expect(Self.report([.good], attention: ["10-a"]).state == .attention)
        #expect(Self.report([.bad], attention: ["10-a"]).state == .failed)
        var stopped = Self.report([.good])
        stopped.daemon = .stopped
        #expect(stopped.state == .attention)
        stopped.daemon = .dryRun
        #expect(stopped.state == .attention)
        var unknown = Self.report([.good])
        unknown.requests.isPartlyUnknown = true
        #expect(unknown.state == .attention)
    }

    @Test func `read from the newest to the oldest the requests are the same`() {
        for (requests, _) in Self.cases {
            var backwards = RecentRequests()
            for request in requests.reversed() { backwards.add(older: Self.record(request)) }
            #expect(backwards == Self.report(requests).requests, "\(requests)")
        }
    }
}
