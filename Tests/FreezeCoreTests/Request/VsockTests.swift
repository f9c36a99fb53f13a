import Testing

@testable import FreezeCore

@Suite("A request of the host over vsock")
struct VsockTests {
    static let vsock = ChannelID.vsock(7)

    @Test("P1, P4: the end of its connection ends the request at any moment", arguments: WindowTests.active)
    func lost(state: RequestState) {
        var (bench, _) = MachineBench.request(of: Self.vsock, in: state)
        let running = bench.work
        bench.send(.channelLost(Self.vsock, reason: "the connection has ended"))
        #expect(bench.contains(.thaw) == WindowTests.window.contains(state))
        bench.end(running: running)
        #expect(bench.machine.state == .idle)
        #expect(bench.machine.debts.isEmpty)
        #expect(bench.lastRecord?.result == (state == .thawHooks ? .succeeded : .failed))
        #expect(bench.lastRecord?.channel.name == "vsock")
    }

    @Test("P8: it ends no request of another, with force or without", arguments: [false, true])
    func force(isForced: Bool) {
        for owner in [ChannelID.hyperV, .control, .hold(1), .vsock(8)] {
            var (bench, _) = MachineBench.request(of: owner, in: .frozen)
            let operation = OperationID(number: 99)
            bench.send(.thaw(Self.vsock, operation, ThawWish(isForced: isForced)))
            #expect(bench.told(operation)?.detail.refusal == .notOwner, "\(owner)")
            #expect(bench.machine.state == .frozen)
            let thaw = bench.thaw(owner)
            bench.goOn(to: .idle)
            #expect(bench.told(thaw)?.verdict == .success)
            #expect(bench.lastRecord?.result == .succeeded)
        }
    }

    @Test("It counts as a backup, and a dry run is told")
    func backup() {
        var (bench, freeze) = MachineBench.request(of: Self.vsock, in: .frozen)
        #expect(bench.told(freeze)?.verdict == .success)
        let thaw = bench.thaw(Self.vsock)
        bench.goOn(to: .idle)
        #expect(bench.told(thaw)?.verdict == .success)
        #expect(bench.lastRecord?.result == .succeeded)
        #expect(ChannelRules.vsock.tellsDryRun)
    }

    @Test("It acknowledges nothing")
    func acknowledge() {
        var (bench, _) = MachineBench.request(of: Self.vsock, in: .frozen)
        let operation = OperationID(number: 99)
        bench.send(.acknowledge(Self.vsock, operation))
        #expect(bench.told(operation)?.detail.refusal == .notOwner)
    }
}
