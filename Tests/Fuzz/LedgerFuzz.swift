import FreezeCore
import LinuxCalls
import SystemPackage

@testable import FreezerProtocol

/// The ledger that a dead life of the daemon has left.
struct LedgerFuzz: ParserFuzz {
    static let name = "ledger"
    static let sources = [
        "FreezerProtocol/Ledger.swift", "FreezerProtocol/LedgerLayout.swift",
        "FreezerProtocol/LedgerContents.swift", "FreezerProtocol/LedgerWord.swift",
        "LinuxCalls/FileIdentity.swift", "LinuxCalls/SharedMapping.swift",
    ]

    private let mutation = Mutation(
        bytes: [UInt64.max, UInt64(Int.max), 1 << 62, 1 << 40, 7 << 56, 96, 8].map { number in
            withUnsafeBytes(of: number) { Array($0) }
        })
    private let file: ScratchFile
    private let otherFile: ScratchFile

    init() throws {
        file = try ScratchFile()
        otherFile = try ScratchFile()
    }

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        if random.oneIn(20) { return FuzzInput(random.bytes(random.below(400))) }
        let contents = contents(&random)
        let valid = LedgerEncoder(contents, bootID: random.one(of: ["b9c1", "", "ü", "11111111-2222"])).bytes
        var bytes = valid
        switch random.below(5) {
        case 0: return FuzzInput(valid, isValid: true)
        case 1: progress(of: contents, in: &bytes, &random)
        case 2, 3:
            for _ in 0...random.below(3) { damageWord(&bytes, &random) }
            if random.oneIn(4) { progress(of: contents, in: &bytes, &random) }
        default: bytes = mutation.mutated(bytes, &random)
        }
        return FuzzInput(bytes)
    }

    private func contents(_ random: inout SplitMix64) -> LedgerContents {
        let texts = ["", "20261121T103645-1", "hyperv", "10-orders", "ü", "a b\n", "\u{1B}[2J", "x/../y"]
        let superblocks = random.list(atMost: random.oneIn(50) ? 100 : 6) { random in
            LedgerContents.Superblock(
                device: DeviceNumber(
                    major: UInt32(random.below(5000)), minor: UInt32(truncatingIfNeeded: random.next())),
                mountPoint: random.one(of: ["/", "/srv", "/mnt/a b", "relative", "", "/mnt/ü\u{1B}"]),
                step: random.oneIn(9) ? .max : random.below(4))
        }
        return LedgerContents(
            requestID: random.one(of: texts), channel: random.one(of: texts), options: options(&random),
            daemon: life(&random),
            superblocks: superblocks, hooks: random.list(atMost: 5) { $0.one(of: texts) })
    }

    private func options(_ random: inout SplitMix64) -> FreezeOptions {
        FreezeOptions(
            mountPoints: random.oneIn(2) ? nil : ["/srv", "/mnt/ü\u{1B}"], freezes: random.oneIn(2),
            isRehearsal: random.oneIn(2))
    }

    private func life(_ random: inout SplitMix64) -> ProcessIdentity {
        ProcessIdentity(processID: Int32(random.below(1 << 22)), startTicks: random.next())
    }

    /// As it is in the middle of a request.
    private func progress(of contents: LedgerContents, in bytes: inout [UInt8], _ random: inout SplitMix64) {
        for index in contents.superblocks.indices {
            let word = LedgerWord(random.one(of: SuperblockState.allCases), by: life(&random))
            put(word.rawValue, at: LedgerLayout.superblock(index), in: &bytes)
        }
        for index in contents.hooks.indices {
            let place = LedgerLayout.hook(index, superblocks: contents.superblocks.count)
            put(UInt64(random.below(5)), at: place, in: &bytes)
        }
    }

    private func damageWord(_ bytes: inout [UInt8], _ random: inout SplitMix64) {
        let word = random.below(max(bytes.count / 8, 1)) * 8
        // Near the file's size is where an offset is almost right.
        let near = UInt64(max(0, bytes.count + random.below(17) - 8))
        put(random.oneIn(2) ? near : UInt64(bitPattern: random.oddNumber()), at: word, in: &bytes)
    }

    private func put(_ value: UInt64, at offset: Int, in bytes: inout [UInt8]) {
        guard offset + 8 <= bytes.count else { return }
        withUnsafeBytes(of: value) { bytes.replaceSubrange(offset..<(offset + 8), with: $0) }
    }

    // MARK: Feeding

    func check(_ input: FuzzInput) throws -> Verdict {
        let ledger: Ledger
        do throws(LedgerError) {
            ledger = try open(input.bytes)
        } catch {
            try require(!input.isValid, "a whole ledger is refused: \(error)")
            try require(
                error.code == .malformed && error.subject == "/run/ledger", "\(error) does not say what is wrong")
            try require(error.remedy?.contains("fsfreeze -u") == true, "no remedy")
            return .refused
        }
        try checkCopy(of: ledger)
        try use(ledger)
        return .accepted
    }

    private func open(_ bytes: [UInt8]) throws(LedgerError) -> Ledger {
        try? file.fill(with: bytes)
        return try Ledger(mapping: file.descriptor, path: "/run/ledger")
    }

    /// What was understood says the same when it is written again: as when a request is planned once more.
    private func checkCopy(of ledger: Ledger) throws {
        let contents = LedgerContents(
            requestID: ledger.requestID, channel: ledger.channel, options: ledger.options, daemon: ledger.daemon,
            superblocks: ledger.superblocks, hooks: ledger.hooks, replacing: ledger)
        try otherFile.fill(with: LedgerEncoder(contents, bootID: ledger.bootID).bytes)
        let copy = try Ledger(mapping: otherFile.descriptor, path: "/run/ledger")
        try require(
            copy.requestID == ledger.requestID && copy.channel == ledger.channel && copy.bootID == ledger.bootID
                && copy.options == ledger.options && copy.daemon == ledger.daemon
                && copy.superblocks == ledger.superblocks
                && copy.hooks == ledger.hooks && copy.file != ledger.file,
            "a copy of the ledger says something else")
        for (index, hook) in ledger.hooks.enumerated() {
            // Of hooks with one name, which there cannot be in a directory, the first counts.
            let first = ledger.hooks.firstIndex(of: hook) ?? index
            try require(copy.hookProgress(index) == ledger.hookProgress(first), "a hook's progress is another")
        }
    }

    /// Everything a guard does with a ledger, at all indices.
    private func use(_ ledger: Ledger) throws {
        try require(
            Set(ledger.unsettled).isSubset(of: ledger.superblocks.indices), "unsettled: no such superblock")
        try require(Set(ledger.hooksOwedThaw).isSubset(of: ledger.hooks.indices), "owed thaw: no such hook")
        _ = ledger.freezer
        let me = ProcessIdentity(processID: 1, startTicks: 1)
        let neighbours = ledger.superblocks
        ledger.setFreezer(me)
        try require(ledger.freezer == me, "the freezer is not the one that was set")
        let hadOutcome = ledger.outcome != nil
        ledger.setEndedByHand()
        try require(!hadOutcome || !ledger.isEndedByHand, "a request with an outcome is ended by hand")
        for outcome in ConsistencyLevel.allCases.map(WindowOutcome.snapshot) + [.hooksHeld] {
            ledger.setOutcome(outcome)
            try require(ledger.outcome == outcome, "the outcome is not the one that was set")
        }
        ledger.fencePlanned(by: me)
        for index in ledger.superblocks.indices {
            let word = ledger.word(index)
            // A state written by no guard counts as unsettled: the superblock is thawed (P1).
            try require(word.state != nil || ledger.unsettled.contains(index), "superblock \(index) is given up")
            try require(word.state != .planned, "superblock \(index) can still be begun")
            let wrong = LedgerWord(rawValue: ~word.rawValue)
            try require(
                !ledger.advance(index, from: wrong, to: word), "superblock \(index): advanced from elsewhere")
            let frozen = LedgerWord(.frozen, by: me)
            try require(ledger.advance(index, from: word, to: frozen), "superblock \(index) cannot be moved on")
            try require(ledger.word(index) == frozen, "superblock \(index) has not moved on")
        }
        try require(ledger.allFrozen(by: me), "not all frozen")
        for index in ledger.hooks.indices {
            _ = ledger.hookProcess(index)
            ledger.setHookProcess(index, me)
            try require(ledger.hookProcess(index) == me, "a hook's process is not the one that was set")
            ledger.setHookProgress(index, .finished)
        }
        try require(ledger.hooksOwedThaw.isEmpty, "hooks are still owed a thaw")
        try require(ledger.unsettled.count == neighbours.count, "a hook's progress changed a superblock")
    }
}
