import FreezeCore
import SystemPackage

@testable import DataExchange

/// A pool of data exchange: written by other programs, torn, or hostile.
struct PoolFuzz: ParserFuzz {
    static let name = "pool"
    static let sources = [
        "DataExchange/PoolRecords.swift", "DataExchange/PoolFact.swift", "DataExchange/StateSummary.swift",
    ]

    private static let keys = ["quiesce.state", "quiesce.summary", "quiesce.state2", "CLOUD_INIT|1", "é", ""]
    private let mutation = Mutation(keys)

    init() throws {}

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        let count = random.oneIn(200) ? PoolRecords.limit - random.below(3) : random.below(5)
        var bytes: [UInt8] = []
        for _ in 0..<count {
            var record = PoolFact(random.one(of: Self.keys), "value \(random.below(9))").record
            if random.oneIn(4) { record = damaged(record, &random) }
            bytes += record
        }
        if random.oneIn(4) {
            bytes += PoolFact(random.one(of: Self.keys), "torn").record.prefix(random.below(2560))
        }
        return FuzzInput(random.oneIn(4) ? mutation.mutated(bytes, &random) : bytes)
    }

    /// A record of the same length: without zero bytes, or with some bytes changed.
    private func damaged(_ record: [UInt8], _ random: inout SplitMix64) -> [UInt8] {
        if random.oneIn(2) { return record.map { $0 == 0 ? 0x41 : $0 } }
        var record = record
        for _ in 0...random.below(4) { record[random.below(record.count)] = random.byte() }
        return record
    }

    // MARK: Feeding

    func check(_ input: FuzzInput) throws -> Verdict {
        var random = SplitMix64(of: input.bytes)
        let facts = [
            PoolFact("quiesce.summary", try summary(&random)), PoolFact("quiesce.state", "failed"),
        ]
        let update = PoolRecords(input.bytes).update(facts)
        let result = try apply(update, to: input.bytes)
        try checkOthers(input.bytes, result, facts)
        let isAppended = !update.problems.contains(where: \.isFailure)
        for fact in facts {
            let places = Self.places(of: fact.key, in: result)
            try require(!isAppended || !places.isEmpty, "\(fact.key) is not there")
            for place in places {
                let record = result[(place * PoolRecords.size)...].prefix(PoolRecords.size)
                try require(record.elementsEqual(fact.record), "\(fact.key) has an old value")
            }
        }
        let again = PoolRecords(result).update(facts)
        try require(again.writes.isEmpty, "a second update changes something")
        return update.problems.isEmpty ? .accepted : .refused
    }

    private func apply(_ update: PoolRecords.Update, to bytes: [UInt8]) throws -> [UInt8] {
        var result = bytes
        for write in update.writes {
            try require(write.offset % PoolRecords.size == 0, "a write between records")
            if write.replacesTail { result.removeSubrange(write.offset...) }
            try require(write.isNew == (write.offset == result.count), "a write in the wrong place")
            result.replaceSubrange(
                write.offset..<min(write.offset + write.bytes.count, result.count), with: write.bytes)
        }
        return result
    }

    /// The records of other programs keep their bytes and places.
    private func checkOthers(_ before: [UInt8], _ after: [UInt8], _ facts: [PoolFact]) throws {
        let own = Set(facts.flatMap { Self.places(of: $0.key, in: before) })
        for index in 0..<(before.count / PoolRecords.size) where !own.contains(index) {
            let range = (index * PoolRecords.size)..<((index + 1) * PoolRecords.size)
            try require(after[range] == before[range], "record \(index) is changed")
        }
        try require(
            after.count / PoolRecords.size <= max(PoolRecords.limit, before.count / PoolRecords.size), "it grows")
        let tail = before.count % PoolRecords.size
        let isOwn = facts.contains { before.suffix(tail).starts(with: Array($0.key.utf8) + [0]) }
        if tail > 0, !isOwn { try require(after.suffix(tail) == before.suffix(tail), "a torn record is changed") }
    }

    private static func places(of key: String, in bytes: [UInt8]) -> [Int] {
        (0..<(bytes.count / PoolRecords.size)).filter { index in
            bytes[(index * PoolRecords.size)...].starts(with: Array(key.utf8) + [0])
        }
    }

    /// The summary of a report with any texts fits into a record, and is text.
    private func summary(_ random: inout SplitMix64) throws -> String {
        guard random.oneIn(20) else { return "{}" }
        var requests = RecentRequests()
        for _ in 0..<random.below(4) { requests.add(newer: RequestRecord.random(&random)) }
        let report = StateReport(
            requests: requests, attention: random.list(atMost: 70) { "hook \($0.below(99))" },
            daemon: random.one(of: [.running, .stopped, .dryRun]), time: WallTime(milliseconds: 0))
        let text = StateSummary.text(report, bootID: "boot")
        try require(text.utf16.count < 1022 && text.utf8.count < 2047, "the summary is too long: \(text)")
        try require(text.hasPrefix("{") && text.hasSuffix("}"), "the summary is cut: \(text)")
        return text
    }
}
