import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import SystemPackage
import Testing

/// A whole ledger: what goes in comes out, in another mapping as well, and one of many wins a word.
@Suite struct LedgerTests {
    private let scratch: LedgerScratch
    private let directory: RunDirectory

    init() throws {
        scratch = try LedgerScratch()
        directory = try scratch.runDirectory()
    }

    @Test(arguments: [0, 1, 2, 300])
    func `what is written is read again`(superblocks: Int) throws {
        let contents = LedgerContents.sample(superblocks: superblocks)
        let made = try directory.createLedger(contents).ledger
        let opened = try #require(try directory.openLedger())
        for ledger in [made, opened] {
            #expect(ledger.requestID == contents.requestID)
            #expect(ledger.channel == contents.channel)
            #expect(ledger.bootID == directory.bootID)
            #expect(ledger.daemon == contents.daemon.asStored)
            #expect(ledger.freezer == nil)
            #expect(ledger.superblocks == contents.superblocks)
            #expect(ledger.hooks == contents.hooks)
            #expect(ledger.unsettled.isEmpty && ledger.hooksOwedThaw.isEmpty)
        }
        #expect(superblocks == 0 || !made.allFrozen(by: .current))
    }

    @Test func `both mappings see one another's words`() throws {
        let made = try directory.createLedger(.sample(superblocks: 3)).ledger
        let opened = try #require(try directory.openLedger())
        let freezer = ProcessIdentity(processID: 4711, startTicks: 99)
        opened.setFreezer(freezer)
        #expect(made.freezer == freezer)
        let frozen = LedgerWord(.frozen, by: freezer)
        for index in 0..<3 {
            #expect(!made.allFrozen(by: freezer))
            #expect(opened.advance(index, from: opened.word(index), to: frozen))
        }
        #expect(made.allFrozen(by: freezer))
        #expect(!made.allFrozen(by: .current), "frozen by another process is not frozen")
        #expect(made.unsettled == [0, 1, 2])
        #expect(made.advance(1, from: frozen, to: LedgerWord(.thawed, by: .current)))
        #expect(opened.unsettled == [0, 2])
        #expect(!opened.allFrozen(by: freezer))
        #expect(!opened.advance(1, from: frozen, to: LedgerWord(.thawing, by: freezer)), "somebody was first")
    }

    @Test func `recover --force is on record, unless the request has an outcome`() throws {
        let made = try directory.createLedger(.sample(superblocks: 1)).ledger
        let opened = try #require(try directory.openLedger())
        #expect(!made.isEndedByHand)
        opened.setEndedByHand()
        #expect(made.isEndedByHand && made.outcome == nil)
        let good = try directory.createLedger(.sample(superblocks: 1)).ledger
        good.setOutcome(.snapshot(.application))
        good.setEndedByHand()
        #expect(!good.isEndedByHand && good.outcome == .snapshot(.application))
    }

    @Test(arguments: ConsistencyLevel.allCases.map(WindowOutcome.snapshot) + [.hooksHeld])
    func `P3 the outcome is kept over a crash`(outcome: WindowOutcome) throws {
        let made = try directory.createLedger(.sample(superblocks: 1)).ledger
        #expect(made.outcome == nil)
        made.setOutcome(outcome)
        #expect(try directory.openLedger()?.outcome == outcome)
    }

    @Test(arguments: [
        FreezeOptions(), FreezeOptions(freezes: false), FreezeOptions(isRehearsal: true),
        FreezeOptions(mountPoints: ["/mnt/0"]), FreezeOptions(mountPoints: ["/srv", "/mnt/ü b"], freezes: false),
    ])
    func `P2 what a request was for is kept over a crash`(options: FreezeOptions) throws {
        let contents = LedgerContents(
            requestID: "00c0ffee00c0ffee", channel: "hyperv", options: options, daemon: .current,
            superblocks: [.init(device: DeviceNumber(major: 7, minor: 0), mountPoint: "/mnt/0", step: 0)],
            hooks: [])
        _ = try directory.createLedger(contents)
        #expect(try directory.openLedger()?.options == options)
    }

    @Test func `P4 hooks that were started are owed their thaw in reverse order`() throws {
        let made = try directory.createLedger(.sample(superblocks: 1, hooks: ["1", "2", "3", "4"])).ledger
        for index in 0..<3 { made.setHookProgress(index, .started) }
        made.setHookProgress(1, .finished)
        made.setHookProcess(1, .current)
        let opened = try #require(try directory.openLedger())
        #expect(opened.hookProcess(0) == nil)
        #expect(opened.hookProcess(1) == ProcessIdentity.current.asStored)
        #expect(opened.hooksOwedThaw == [2, 0])
        // Planned again: the order of the new ledger counts, the progress of the old one, from the first moment.
        _ = try directory.createLedger(.sample(superblocks: 1, hooks: ["0", "1", "3"], replacing: opened))
        let again = try #require(try directory.openLedger())
        #expect(again.hooksOwedThaw == [2, 1])
    }

    @Test func `exactly one of many threads wins each word`() throws {
        let superblocks = 300
        let threads = 8
        let made = try directory.createLedger(.sample(superblocks: superblocks)).ledger
        let opened = try #require(try directory.openLedger())
        var before = LedgerWord(.planned, by: .current)
        for round in 1...20 {
            let started = Monitor(0)
            let from = before
            let work = (0..<threads).map { thread in
                { @Sendable () -> [Int] in
                    let ledger = thread % 2 == 0 ? made : opened
                    let mine = LedgerWord(.thawing, by: .init(processID: pid_t(thread), startTicks: UInt64(round)))
                    started.update { $0 += 1 }
                    _ = started.wait(until: .now + .seconds(10)) { $0 == threads ? true : nil }
                    return (0..<superblocks).filter { ledger.advance($0, from: from, to: mine) }
                }
            }
            let won = AbandonableWork.run(work, until: .now + .seconds(30)).map { $0 ?? [] }
            #expect(won.map(\.count).reduce(0, +) == superblocks)
            #expect(Set(won.joined()).count == superblocks)
            for (thread, indices) in won.enumerated() {
                for index in indices { #expect(made.word(index).process.processID == pid_t(thread)) }
            }
            // The same start for the next round.
            before = LedgerWord(.planned, by: .init(processID: 1000, startTicks: UInt64(round)))
            for index in 0..<superblocks { #expect(made.advance(index, from: made.word(index), to: before)) }
        }
    }
}
