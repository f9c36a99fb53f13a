import FreezeCore
import SystemPackage
import Testing

/// The options of a request.
struct FreezeOptionsTests {
    private static let session = PlannedHook(name: "30-c.session", kind: .session)

    @Test func `the selected mount points are handed to the driver`() {
        var bench = MachineBench()
        _ = bench.freeze(.control, FreezeOptions(mountPoints: ["/0"]))
        let opened = bench.effects.compactMap { effect in
            if case .open(_, _, _, let options) = effect { options.mountPoints } else { nil }
        }
        #expect(opened == [["/0"]])
    }

    @Test func `without hooks none is called, and the level is filesystem`() throws {
        var bench = MachineBench()
        _ = bench.freeze(.control, FreezeOptions(callsHooks: false))
        bench.goOn(to: .frozen)
        _ = bench.thaw(.control)
        bench.goOn(to: .idle)
        #expect(!bench.history.contains { if case .runHook = $0 { true } else { false } })
        let record = try #require(bench.lastRecord)
        #expect(record.result == .succeeded && record.level == .filesystem)
        #expect(record.reason == "no hooks were wanted")
    }

    @Test(
        arguments: [
            (nil, nil, Duration.seconds(60)), (.seconds(5), nil, .seconds(5)), (.seconds(90), nil, .seconds(60)),
            (nil, .seconds(30), .seconds(30)), (.seconds(40), .seconds(30), .seconds(30)),
        ] as [(Duration?, Duration?, Duration)])
    func `the window is the shortest of the request's, the channel's and the configuration's`(
        wanted: Duration?, limit: Duration?, expected: Duration
    ) throws {
        var policy = RequestPolicy()
        policy.channels[ChannelID.control.name]?.maxWindow = limit
        var bench = MachineBench(policy: policy)
        let freeze = bench.freeze(.control, FreezeOptions(window: wanted))
        bench.goOn(to: .frozen)
        let deadline = try #require(bench.told(freeze)?.detail.windowDeadline)
        _ = bench.thaw(.control)
        bench.goOn(to: .idle)
        #expect(deadline - (try #require(bench.lastRecord?.windowOpened)) == expected)
    }

    @Test func `P3 a rehearsal is on record as a rehearsal`() throws {
        var bench = MachineBench()
        _ = bench.freeze(.control, FreezeOptions(isRehearsal: true))
        bench.goOn(to: .frozen)
        _ = bench.thaw(.control)
        bench.goOn(to: .idle)
        #expect(try #require(bench.lastRecord).options.isRehearsal)
    }

    @Test(arguments: [true, false])
    func `P3 a request of a stand-in is a rehearsal, and of a host a backup`(isStandIn: Bool) throws {
        var bench = MachineBench()
        bench.send(.registered(MachineBench.host, isStandIn: isStandIn))
        _ = bench.freeze()
        bench.goOn(to: .frozen)
        _ = bench.thaw()
        bench.goOn(to: .idle)
        #expect(try #require(bench.lastRecord).options.isRehearsal == isStandIn)
    }

    @Test func `an answer tells how many filesystems are frozen`() {
        var bench = MachineBench()
        let freeze = bench.freeze(.control)
        bench.goOn(to: .frozen)
        #expect(bench.told(freeze)?.detail.filesystems == 3)
        let thaw = bench.thaw(.control)
        bench.goOn(to: .idle)
        #expect(bench.told(thaw)?.detail.filesystems == 3)
    }

    // MARK: Hooks for another agent

    private static func holding() -> (MachineBench, OperationID) {
        var bench = MachineBench()
        let freeze = bench.freeze(.hooks, FreezeOptions(freezes: false))
        bench.goOn(to: .holding)
        return (bench, freeze)
    }

    @Test func `hooks for another agent hold until THAW, and nothing is flushed or frozen`() throws {
        var (bench, freeze) = Self.holding()
        #expect(bench.machine.state == .holding)
        #expect(bench.told(freeze)?.verdict == .success)
        #expect(bench.told(freeze)?.detail.windowDeadline == bench.now + .seconds(60))
        let thaw = bench.thaw(.hooks)
        bench.goOn(to: .idle)
        #expect(bench.told(thaw)?.verdict == .success)
        for effect in bench.history {
            switch effect {
            case .flush, .freeze, .checkMounts, .thaw: Issue.record("\(effect)")
            default: break
            }
        }
        let record = try #require(bench.lastRecord)
        #expect(record.result == .succeeded && record.level == nil && record.windowOpened == nil)
        #expect(record.hooks.map(\.name) == ["10-a", "20-b", "20-b", "10-a"])
    }

    @Test func `P7 while another agent may have frozen, nothing is written to a file`() {
        let (bench, _) = Self.holding()
        #expect(bench.machine.mayFileWriteHang)
        #expect(bench.machine.isWindowOpen)
    }

    @Test func `P3 a window of hooks that ends early fails THAW`() {
        var (bench, _) = Self.holding()
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        let thaw = bench.thaw(.hooks)
        #expect(bench.told(thaw)?.detail.refusal == .lost)
    }

    @Test func `P3 a session hook that ends early fails THAW`() {
        var bench = MachineBench()
        bench.hooks.append(Self.session)
        _ = bench.freeze(.hooks, FreezeOptions(freezes: false))
        bench.goOn(to: .holding)
        let run = HookRun(
            name: "30-c.session", phase: .thaw, outcome: .signalled(signal: 15), output: "",
            isOutputTruncated: false,
            started: bench.now, duration: .zero)
        bench.send(.sessionEnded(index: 2, run))
        bench.goOn(to: .idle)
        let thaw = bench.thaw(.hooks)
        #expect(bench.told(thaw)?.detail.refusal == .lost)
    }

    @Test func `P3 after a crash of quiesced, a THAW by name is told that the window was lost`() {
        let leftover = Leftover(
            requestID: RequestID("r"), channel: .hooks, hooksOwedThaw: [PlannedHook(name: "10-a")], stuck: [])
        var bench = MachineBench(recovered: leftover)
        #expect(bench.machine.state == .thawHooks)
        let early = bench.thaw(.hooks, of: RequestID("r"))
        #expect(bench.told(early)?.detail.refusal == .lost)
        bench.waitForDeadline()
        #expect(bench.machine.state == .idle)
        let late = bench.thaw(.hooks, of: RequestID("r"))
        #expect(bench.told(late)?.detail.refusal == .lost)
        let unnamed = bench.thaw(.hooks)
        #expect(bench.told(unnamed)?.detail.refusal == .nothingFrozen)
    }

    @Test func `P3 after a crash of quiesced, THAW of a channel that expects success fails once`() {
        let agent = ChannelID(name: "agent")
        var policy = RequestPolicy()
        policy.channels[agent.name] = ChannelRules(thawWithoutWindow: .success)
        let leftover = Leftover(requestID: RequestID("r"), channel: agent, hooksOwedThaw: [], stuck: [])
        var bench = MachineBench(policy: policy, recovered: leftover)
        bench.goOn(to: .idle)
        let thaw = bench.thaw(agent)
        #expect(bench.told(thaw)?.detail.refusal == .lost)
        let next = bench.thaw(agent)
        #expect(bench.told(next)?.verdict == .success)
    }

    // MARK: Flushes

    @Test func `the last flush is only of filesystems to freeze, the others also of filesystems to flush`() throws
    {
        var bench = MachineBench()
        let frozen = MachineBench.plan(steps: [0]).filesystems
        let others = [FilesystemAction.sync, .skip].enumerated().map { index, action in
            PlannedFilesystem(
                device: DeviceNumber(major: 9, minor: UInt32(index)), mount: frozen[0].mount, action: action,
                reason: "")
        }
        bench.plan = FreezePlan(filesystems: frozen + others)
        bench.hooks = [PlannedHook(name: "10-a.session", kind: .session)]
        _ = bench.freeze()
        var flushed: [[FilesystemAction]] = []
        for state in [RequestState.flushing, .flushingLast] {
            bench.goOn(to: state)
            for case .flush(_, let filesystems) in bench.effects { flushed.append(filesystems.map(\.action)) }
        }
        #expect(flushed == [[.freeze, .sync], [.freeze]])
    }

    @Test(arguments: [
        (FreezeOptions(), "THAW did not come within freeze.max_window (60s): everything was thawed"),
        (FreezeOptions(window: .seconds(5)), "THAW did not come within the request's window (5s): everything was"),
        (
            FreezeOptions(freezes: false),
            "THAW did not come within freeze.max_window (60s): the hooks were called for thaw"
        ),
    ])
    func `an expired window names its limit, and what was ended`(options: FreezeOptions, reason: String) {
        var bench = MachineBench()
        _ = bench.freeze(.control, options)
        bench.goOn(to: options.freezes ? .frozen : .holding)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(bench.lastRecord?.reason?.hasPrefix(reason) == true, "\(bench.lastRecord?.reason ?? "")")
    }

    @Test func `a held window with a shorter limit of its request names that limit`() {
        var bench = MachineBench()
        _ = bench.freeze(.hold(7), FreezeOptions(window: .seconds(5)))
        bench.goOn(to: .frozen)
        bench.waitForDeadline()
        bench.goOn(to: .idle)
        #expect(
            bench.lastRecord?.reason?.hasPrefix("the command ran longer than the request's window (5s)") == true)
    }

    @Test func `P7 a freezer that ends before hooks hold is started again after the window only`() {
        var bench = MachineBench()
        bench.startsFreezer = false
        bench.endsPauses = false
        _ = bench.freeze(.hooks, FreezeOptions(freezes: false))
        bench.goOn(to: .freezeHooks)
        let pending = bench.effects
        bench.send(.freezerEnded(how: "killed"))
        #expect(bench.effects == [.pauseBeforeFreezer])
        // A freezer that loads could still do so when the hooks hold.
        bench.send(.freezerDue)
        #expect(bench.effects.isEmpty)
        bench.effects = pending
        bench.goOn(to: .holding)
        #expect(!bench.contains(.startFreezer))
        let thaw = bench.thaw(.hooks)
        #expect(bench.told(thaw)?.verdict == .success)
        #expect(bench.effects.contains(.startFreezer))
    }
}
