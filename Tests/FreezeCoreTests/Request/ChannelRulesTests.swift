import FreezeCore
import Testing

/// What a channel's rules decide. The rules of Hyper-V and of the control socket have tests of their own.
struct ChannelRulesTests {
    private static let agent = ChannelID(name: "agent")

    private static func policy(_ rules: ChannelRules) -> RequestPolicy {
        var policy = RequestPolicy()
        policy.channels[agent.name] = rules
        return policy
    }

    private static func frozen(_ rules: ChannelRules) -> MachineBench {
        MachineBench.request(of: agent, in: .frozen, policy: policy(rules)).0
    }

    @Test func `P8 a second FREEZE that is an error fails, and the window goes on`() throws {
        var bench = Self.frozen(ChannelRules(secondFreeze: .error))
        let second = bench.freeze(Self.agent)
        let told = try #require(bench.told(second))
        #expect(told.verdict == .failure && told.detail.refusal == .failed)
        #expect(bench.machine.state == .frozen)
        let thaw = bench.thaw(Self.agent)
        bench.goOn(to: .idle)
        #expect(bench.told(thaw)?.verdict == .success)
    }

    @Test func `P3 a second FREEZE of a host that began again fails, and the window is lost`() {
        var bench = Self.frozen(ChannelRules())
        let second = bench.freeze(Self.agent)
        #expect(bench.machine.state == .thawing)
        bench.goOn(to: .idle)
        #expect(bench.told(second)?.verdict == .failure)
        #expect(bench.lastRecord?.result == .failed && bench.lastRecord?.isAnsweredWithSuccess == true)
        let thaw = bench.thaw(Self.agent)
        #expect(bench.told(thaw)?.detail.refusal == .lost)
    }

    @Test func `a THAW without a window succeeds where the rules say so`() {
        var bench = MachineBench(policy: Self.policy(ChannelRules(thawWithoutWindow: .success)))
        let thaw = bench.thaw(Self.agent)
        #expect(bench.told(thaw)?.verdict == .success)
    }

    @Test func `P3 a THAW after a lost window fails, whatever a THAW without a window gets`() {
        var bench = Self.frozen(ChannelRules(thawWithoutWindow: .success))
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        let late = bench.thaw(Self.agent)
        #expect(bench.told(late)?.detail.refusal == .lost)
        let next = bench.thaw(Self.agent)
        #expect(bench.told(next)?.verdict == .success)
    }

    @Test func `P3 a restart does not forget a window that ended early`() {
        var bench = Self.frozen(ChannelRules(thawWithoutWindow: .success))
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        var kept: [ChannelID: String]?
        for case .keepLost(let lost) in bench.history { kept = lost }
        let reason =
            "THAW did not come within freeze.max_window (60s): everything was thawed, the snapshot may be torn"
        #expect(kept == [Self.agent: reason])
        // Before the ledger is removed.
        let order = bench.history.compactMap { effect in
            switch effect {
            case .keepLost: "kept"
            case .release: "removed"
            default: nil
            }
        }
        #expect(order == ["kept", "removed"])
        var next = MachineBench(policy: Self.policy(ChannelRules(thawWithoutWindow: .success)), lost: kept ?? [:])
        let late = next.thaw(Self.agent)
        #expect(next.told(late)?.detail.refusal == .lost)
        #expect(next.effects.last == .keepLost([:]))
    }

    @Test func `without answer limits an operation waits as long as its request lasts`() {
        for limit in [nil, Duration.seconds(1)] {
            var bench = Self.frozen(ChannelRules(thawAnswerLimit: limit))
            let thaw = bench.thaw(Self.agent)
            bench.send(.timePassed(), after: .milliseconds(1001))
            #expect(bench.told(thaw)?.verdict == (limit == nil ? nil : .failure))
        }
        let rules = ChannelRules(freezeAnswerLimit: nil, thawAnswerLimit: nil)
        var waiting = MachineBench.request(of: Self.agent, in: .thawHooks, policy: Self.policy(rules)).0
        let freeze = waiting.freeze(Self.agent)
        waiting.send(.timePassed(), after: .seconds(3000))
        #expect(waiting.told(freeze) == nil)
    }

    @Test func `a window that its channel shortens names the setting of the channel`() {
        var bench = Self.frozen(ChannelRules(maxWindow: .seconds(7)))
        let thawed = bench.now + .seconds(8)
        bench.waitForDeadline()
        #expect(bench.now < thawed)
        bench.goOn(to: .idle)
        let reason = bench.lastRecord?.reason ?? ""
        #expect(reason.hasPrefix("THAW did not come within agent.max_window (7s): everything was"), "\(reason)")
    }

    @Test func `a channel without rules of its own is a host that relies on the answers`() {
        #expect(RequestPolicy().rules(of: Self.agent) == .hyperV)
    }
}
