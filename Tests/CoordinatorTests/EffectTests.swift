import Configuration
import FreezeCore
import FreezerProtocol
import Glibc
import History
import Hooks
import LinuxCalls
import Synchronization
import SystemPackage
import Testing

@testable import Coordinator
@testable import LinuxSystem

/// The coordinator performs each effect of the state machine, and posts the answer. Freezer and filesystems are fakes, so
/// nothing is frozen.
@Suite(
    .needsRoot(toTest: "the effects that the coordinator carries out"),
    .needs("python3", toTest: "the effects that the coordinator carries out") {
        access(FakeFreezer.python, X_OK) == 0
    })
struct EffectTests {
    private typealias Bench = CoordinatorBench
    private let bench: CoordinatorBench
    private var coordinator: Coordinator { bench.coordinator }
    private let work = CoordinatorBench.work

    init() throws {
        bench = try CoordinatorBench()
    }

    private var calls: [String] { bench.channel.calls.withLock { $0 } }

    // MARK: The daemon's life

    @Test func `recover reports that there was nothing to recover`() throws {
        bench.perform(.recover)
        try bench.waitForEvent("recovered") { $0 == .recovered(nil) }
    }

    @Test func `recover reports what a request that was cut short has left`() throws {
        let ledger = try bench.openWithLedger(hooks: [Hook(name: "10-a", path: "/nowhere", kind: .plain)])
        ledger.fencePlanned(by: .current)
        bench.perform(.recover)
        // The ledger names this process as its daemon, and the holder of the run directory may thaw all the same.
        let result = try bench.wait(for: "what is left") { message in
            if case .leftover(let result) = message { result } else { nil }
        }
        #expect(result.requestID == Bench.request && result.isEverythingThawed)
    }

    @Test func `openChannels starts every channel, and says which cannot be started`() throws {
        bench.channel.isBroken.withLock { $0 = true }
        bench.perform(.openChannels)
        #expect(calls == ["start"])
        try bench.eventually("the note") { bench.notes.contains("error: no device") }
    }

    @Test func `reopenChannels lets the channels open their devices`() {
        bench.perform(.reopenChannels)
        #expect(calls == ["reopen"])
    }

    @Test func `exit ends the coordinator's thread`() {
        bench.perform(.exit)
        #expect(coordinator.isDone)
    }

    @Test func `P3 a failure that a channel reports while it stops is kept for the next instance`() {
        let mailbox = coordinator.mailbox
        bench.channel.lastWork.withLock {
            $0 = { mailbox.post(.channel(.qemu, .thawUndelivered(reason: "the window ended early"))) }
        }
        coordinator.handle(.shutdown(reason: "quiesced was asked to stop"))
        #expect(coordinator.isDone)
        coordinator.stopChannels()
        #expect(calls == ["stop"])
        #expect(coordinator.runDirectory.lostChannels == [.qemu: "the window ended early"])
    }

    // MARK: The freezer

    @Test func `startFreezer starts the freezer, and its end is reported and leads to a successor`() throws {
        try bench.startFreezer()
        let first = coordinator.freezer.process?.identity
        bench.perform(.killFreezer)
        #expect(coordinator.freezer.descriptor == nil)
        let end = try bench.wait(for: "its end") { message in
            if case .freezerEnded = message { message } else { nil }
        }
        coordinator.receive(end)
        #expect(!coordinator.machine.isFreezerReady)
        // The same end is news once.
        coordinator.receive(end)
        let due = try bench.wait(for: "the time for a successor") { message in
            if case .event(.freezerDue) = message { message } else { nil }
        }
        coordinator.receive(due)
        let started = try bench.wait(for: "the successor") { message in
            if case .freezerStarted = message { message } else { nil }
        }
        coordinator.receive(started)
        try bench.waitUntilFreezerIsReady()
        #expect(coordinator.freezer.process?.identity != first)
        try bench.eventually("the note") { bench.notes.contains("the freezer ended (") }
    }

    @Test func `the end of the freezer's connection is the end of the freezer`() throws {
        try bench.startFreezer()
        try coordinator.freezer.process?.send(signal: SIGKILL)
        try bench.eventually("that it has ended") {
            coordinator.receiveFreezerNews()
            return !coordinator.machine.isFreezerReady
        }
        #expect(coordinator.freezer.process == nil)
    }

    @Test func `handOver writes the ledger, and gives it to the freezer with every descriptor`() throws {
        try bench.startFreezer()
        let ledger = try bench.openWithLedger(hooks: [Hook(name: "10-a", path: "/nowhere", kind: .plain)])
        try bench.eventually("that it has them") { bench.freezer.commands.count == 2 }
        #expect(bench.freezer.commands == ["prepare 1", "descriptors 2"])
        #expect(ledger.requestID == Bench.request.text && ledger.hooks == ["10-a"])
        #expect(ledger.superblocks.map(\.mountPoint) == ["/srv/0", "/srv/1"])
        #expect(coordinator.runDirectory.holds(ledger))
    }

    @Test func `handOver to a freezer that has just ended reports nothing, since its end is reported`() throws {
        _ = try bench.openWithLedger()
        #expect(!bench.messages.contains { if case .event(.handOverFailed) = $0 { true } else { false } })
    }

    @Test func `handOver without a ledger is reported as failed`() throws {
        try bench.startFreezer()
        try bench.open()
        // Where the ledger would be made there is a directory.
        #expect(mkdir(coordinator.runDirectory.path.appending("ledger.new").string, 0o700) == 0)
        bench.perform(.handOver(work))
        try bench.waitForEvent("the failure") { if case .handOverFailed(work, _) = $0 { true } else { false } }
    }

    @Test func `commands reach the freezer in their order`() throws {
        try bench.startFreezer()
        bench.perform(
            .freeze(step: 0, freezeDeadline: .now, windowDeadline: .now), .thaw, .withdraw, .release)
        try bench.eventually("the commands") { bench.freezer.commands.count == 4 }
        #expect(bench.freezer.commands == ["freeze 0", "thaw 0", "release 0", "release 0"])
        #expect(!bench.messages.contains { if case .event(.freezerHangs) = $0 { true } else { false } })
    }

    @Test func `P1 takeOverThaw kills the freezer, keeps it from freezing more, and reports every filesystem`()
        throws
    {
        try bench.startFreezer()
        let ledger = try bench.openWithLedger()
        let process = try #require(coordinator.freezer.process)
        bench.perform(.takeOverThaw)
        #expect(coordinator.freezer.descriptor == nil)
        #expect(process.waitForEnd(atMost: .seconds(10)))
        for _ in 0..<2 {
            let index = try bench.wait(for: "a thaw") { message in
                if case .thawedInPlace(Bench.request, let index, _) = message { index } else { nil }
            }
            #expect(ledger.word(index).state == .thawed)
        }
    }

    // MARK: Preparing

    @Test func `assess says what would make a FREEZE fail`() throws {
        let bench = try CoordinatorBench { $0.filesystems.include = [try FilesystemSelector(parsing: "/nowhere")] }
        bench.perform(.assess(isFreezerReady: false))
        for part in ["the freezer is not running", "a FREEZE now would fail"] {
            let note = try bench.wait(for: part) { message in
                if case .note(let note) = message, note.message.contains(part) { note } else { nil }
            }
            #expect(note.level == .warning)
        }
    }

    @Test func `open keeps channels from opening devices, and reports the plan or why there is none`() throws {
        let bench = try CoordinatorBench { $0.filesystems.include = [try FilesystemSelector(parsing: "/nowhere")] }
        bench.perform(.open(work, Bench.request, .control, FreezeOptions()))
        #expect(bench.channel.calls.withLock { $0 } == ["holdOpening"])
        #expect(bench.coordinator.resources?.requestID == Bench.request)
        let result = try bench.wait(for: "the plan") { message in
            if case .opened(work, let result) = message { result } else { nil }
        }
        guard case .failure = result else { return #expect(Bool(false), "there is nothing to freeze") }
    }

    @Test func `openAgain lets go of the last plan, and keeps the hooks`() throws {
        let opened = try bench.open(hooks: [Hook(name: "10-a", path: "/nowhere", kind: .plain)])
        bench.perform(.openAgain(work))
        #expect(coordinator.resources?.opened == nil && opened.isWithdrawn)
        #expect(coordinator.resources?.hooks.map(\.hook.name) == ["10-a"])
        _ = try bench.wait(for: "the plan") { message in
            if case .opened(work, _) = message { true } else { nil }
        }
    }

    @Test func `flush flushes the filesystems that are named, and reports each`() throws {
        let opened = try bench.open()
        let named = Array(opened.plan.filesystems.dropFirst())
        bench.perform(.flush(work, named))
        var flushed: Set<DeviceNumber> = []
        _ = try bench.wait(for: "the end of the flush") { message -> Bool? in
            if case .event(.flushed(work, let device, let result)) = message {
                #expect(result.error == nil)
                flushed.insert(device)
            }
            return flushed == Set(named.map(\.device)) ? true : nil
        }
    }

    @Test func `readMemory reports what is unwritten`() throws {
        bench.perform(.readMemory)
        try bench.waitForEvent("the memory") { if case .memoryRead = $0 { true } else { false } }
    }

    @Test func `findWriteHolders answers, also without a finding`() throws {
        let opened = try bench.open()
        bench.perform(.findWriteHolders(work, opened.plan.filesystems))
        try bench.waitForEvent("the search") { $0 == .writeHoldersFound(work, []) }
    }

    @Test func `checkMounts notices that the ledger is gone, which is looked for before the first freeze`() throws
    {
        let ledger = try bench.openWithLedger()
        coordinator.runDirectory.remove(ledger)
        bench.perform(.checkMounts(work))
        try bench.waitForEvent("the check") {
            if case .mountsChecked(work, let change?, false) = $0 {
                change.contains("ledger was removed")
            } else {
                false
            }
        }
    }

    @Test
    func `pollMounts and verify report at once that no table has changed, and verify that nothing is frozen`()
        throws
    {
        try bench.startFreezer()
        _ = try bench.openWithLedger()
        for effect in [RequestEffect.pollMounts(work), .verify(work)] {
            bench.perform(effect)
            try bench.waitForEvent("the check") { $0 == .mountsChecked(work, change: nil, allFrozen: false) }
        }
    }

    @Test func `P2 verify believes the ledger, if every word is the freezer's`() throws {
        try bench.startFreezer()
        let ledger = try bench.openWithLedger()
        let freezer = try #require(coordinator.freezer.process?.identity)
        for index in 0..<2 {
            let frozen = LedgerWord(.frozen, by: freezer)
            #expect(ledger.advance(index, from: ledger.word(index), to: frozen))
        }
        bench.perform(.verify(work))
        try bench.waitForEvent("the check") { $0 == .mountsChecked(work, change: nil, allFrozen: true) }
    }

    @Test func `expediteRCU changes the kernel's setting, and notes it in the ledger`() throws {
        let bench = try CoordinatorBench { $0.freeze.expeditedRCU = .on }
        let ledger = try bench.openWithLedger()
        for isExpedited in [true, false] {
            bench.perform(.expediteRCU(isExpedited))
            #expect(SmallFile.text(bench.setting) == (isExpedited ? "1" : "0"))
            #expect(ledger.expeditesRCU == isExpedited)
        }
    }

    // MARK: Hooks

    @Test func `runHook calls a hook, and the ledger says what is owed to it`() throws {
        let hook = try bench.hook("10-a", "echo $QUIESCE_PHASE")
        let ledger = try bench.openWithLedger(hooks: [hook])
        for (phase, progress) in [(HookPhase.freeze, HookProgress.started), (.thaw, .finished)] {
            bench.perform(
                .runHook(work, index: 0, phase, succeeded: true, level: .application, timeout: .seconds(20)))
            let run = try bench.hookRun()
            #expect(run.outcome == .exited(status: 0) && run.phase == phase)
            #expect(ledger.hookProgress(0) == progress)
        }
    }

    @Test func `cancelHook ends the hook that runs`() throws {
        let hook = try bench.hook("10-a", "exec sleep 60")
        let ledger = try bench.openWithLedger(hooks: [hook])
        bench.perform(.runHook(work, index: 0, .freeze, succeeded: true, level: nil, timeout: .seconds(50)))
        try bench.eventually("that it runs") { ledger.hookProcess(0) != nil }
        bench.perform(.cancelHook)
        #expect(try bench.hookRun().outcome != .exited(status: 0))
    }

    @Test func `startSession holds a session hook, and releaseSessions ends it`() throws {
        let hook = try bench.hook("10-a.session", "echo READY; read line; exit 0")
        _ = try bench.openWithLedger(hooks: [hook])
        bench.perform(.startSession(work, index: 0, timeout: .seconds(20)))
        let (run, session) = try bench.wait(for: "READY") { message in
            if case .sessionStarted(work, 0, let run, let session) = message { (run, session) } else { nil }
        }
        #expect(run.outcome == .ready)
        coordinator.resources?.sessions[0] = session
        bench.perform(.releaseSessions(timeout: .seconds(20)))
        let end = try bench.wait(for: "its end") { message in
            if case .sessionEnded(Bench.request, 0, let run) = message { run } else { nil }
        }
        #expect(end.outcome == .exited(status: 0))
    }

    @Test func `runLeftoverHook calls a hook of the previous instance by its name`() throws {
        _ = try bench.hook("10-a", "test $QUIESCE_PHASE = thaw")
        bench.perform(
            .runLeftoverHook(work, name: "10-a", Bench.request, .control, outcome: nil, timeout: .seconds(20)))
        let run = try bench.hookRun()
        #expect(run.outcome == .exited(status: 0) && run.name == "10-a")
    }

    // MARK: Answers and records

    @Test func `answer goes to the channel of its name`() {
        let detail = AnswerDetail(reason: "because")
        bench.perform(
            .answer(.control, OperationID(number: 1), .failure, detail),
            .answer(.hyperV, OperationID(number: 2), .success, detail))
        #expect(calls == ["operation 1: failure, because"])
    }

    @Test func `note and progress are told as they are`() throws {
        let progress = RequestProgress(request: nil, channel: nil, event: .entered(.idle))
        bench.perform(.note(LogNote(.warning, "two\nlines")), .progress(progress))
        #expect(bench.observer.seen.withLock { $0.last } == progress)
        try bench.eventually("the note") { bench.notes.contains(#"warning: two\012lines"#) }
    }

    @Test func `keepOutcome is in the ledger for the next instance`() throws {
        let ledger = try bench.openWithLedger()
        bench.perform(.keepOutcome(.snapshot(.application)))
        #expect(ledger.outcome == .snapshot(.application))
    }

    @Test func `keepAttention is in the state directory for the next instance`() throws {
        let attention = Attention(hook: "10-a", request: Bench.request, problem: "failed", since: .now)
        bench.perform(.keepAttention([attention]))
        #expect(coordinator.historyQueue.drain(atMost: .seconds(20)))
        #expect(try coordinator.attentionFile.read().map(\.hook) == ["10-a"])
    }

    @Test func `record is in the history, the log and the status`() throws {
        var record = RequestRecord(id: Bench.request, channel: .control, clock: .current())
        record.reason = "because"
        bench.perform(.record(record))
        #expect(coordinator.historyQueue.drain(atMost: .seconds(20)))
        #expect(try coordinator.history.records(limit: 1).records.map(\.id) == [Bench.request])
        #expect(coordinator.status.last?.id == Bench.request)
        try bench.eventually("the note") { bench.notes.contains("request \(Bench.request) of control failed") }
    }

    @Test func `publish tells the publisher the last requests, on its own thread`() throws {
        var record = RequestRecord(id: Bench.request, channel: .control, clock: .current())
        record.result = .succeeded
        bench.perform(.record(record))
        try bench.waitForEvent("the written record") { $0 == .recorded }
        bench.perform(.publish(isLast: false))
        try bench.waitForEvent("the end of the publication") { $0 == .publicationEnded(isDone: true) }
        let report = try #require(bench.publisher.reports.withLock { $0.last })
        #expect(report.state == .ok && report.daemon == .running)
        #expect(report.requests.lastGood?.id == Bench.request)
        bench.perform(.publish(isLast: true))
        try bench.waitForEvent("the end of the publication") { $0 == .publicationEnded(isDone: true) }
        #expect(bench.publisher.reports.withLock { $0.last }?.daemon == .stopped)
    }

    @Test func `P3 a leftover request is known to the publisher before its record is written`() throws {
        let ledger = try bench.openWithLedger()
        coordinator.leftoverLedger = ledger
        bench.perform(.record(RequestRecord(id: Bench.request, channel: .control, clock: .current())))
        bench.perform(.publish(isLast: false))
        try bench.waitForEvent("the end of the publication") { $0 == .publicationEnded(isDone: true) }
        #expect(bench.publisher.reports.withLock { $0.last }?.state == .failed)
    }

    @Test func `P9 cancelPublication reaches a publisher that waits`() throws {
        bench.publisher.waits.withLock { $0 = true }
        bench.perform(.publish(isLast: false))
        bench.perform(.cancelPublication)
        try bench.waitForEvent("the end of the publication") { $0 == .publicationEnded(isDone: true) }
        #expect(bench.publisher.wasCancelled.withLock { $0 })
    }

    @Test func `P4 release removes the ledger, unless a hook is owed its thaw`() throws {
        var ledger = try bench.openWithLedger(hooks: [Hook(name: "10-a", path: "/nowhere", kind: .plain)])
        ledger.setHookProgress(0, .started)
        let opened = try #require(coordinator.resources?.opened)
        bench.perform(.release)
        #expect(coordinator.resources == nil && opened.isWithdrawn)
        #expect(coordinator.runDirectory.holds(ledger))
        ledger = try bench.openWithLedger(hooks: [Hook(name: "10-a", path: "/nowhere", kind: .plain)])
        bench.perform(.release)
        #expect(!coordinator.runDirectory.holds(ledger))
    }
}
