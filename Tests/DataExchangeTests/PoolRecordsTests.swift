import Testing

@testable import DataExchange

@Suite struct PoolRecordsTests {
    private let facts = [PoolFact("quiesce.summary", "{}"), PoolFact("quiesce.state", "ok")]

    /// The pool after the changes.
    private func apply(_ facts: [PoolFact], to bytes: [UInt8]) -> (bytes: [UInt8], problems: [PoolProblem]) {
        let update = PoolRecords(bytes).update(facts)
        var result = bytes
        for write in update.writes {
            if write.replacesTail { result.removeSubrange(write.offset...) }
            if result.count < write.offset + write.bytes.count {
                result += [UInt8](repeating: 0, count: write.offset + write.bytes.count - result.count)
            }
            result.replaceSubrange(write.offset..<(write.offset + write.bytes.count), with: write.bytes)
        }
        return (result, update.problems)
    }

    @Test func `an empty pool gets a record for each fact`() {
        let (bytes, problems) = apply(facts, to: [])
        #expect(problems == [])
        #expect(bytes == foreign("quiesce.summary", "{}") + foreign("quiesce.state", "ok"))
    }

    @Test func `a record is updated where it is, and others stay as they are`() {
        var others =
            foreign("CLOUD_INIT|1", "x") + foreign("quiesce.state", "failed") + foreign("quiesce.states", "y")
        // Bytes after the zero byte belong to no text, and stay unchanged.
        others[40] = 7
        let (bytes, problems) = apply(facts, to: others)
        #expect(problems == [])
        let size = PoolRecords.size
        #expect(bytes.count == 4 * size)
        #expect(bytes[..<size] == others[..<size])
        #expect(Array(bytes[size..<(2 * size)]) == foreign("quiesce.state", "ok"))
        #expect(bytes[(2 * size)..<(3 * size)] == others[(2 * size)...])
        #expect(Array(bytes[(3 * size)...]) == foreign("quiesce.summary", "{}"))
        #expect(apply(facts, to: bytes).bytes == bytes)
        #expect(PoolRecords(bytes).update(facts).writes == [])
    }

    @Test func `a longer value leaves nothing behind`() {
        let long = apply([PoolFact("quiesce.state", "attention, and more")], to: []).bytes
        #expect(apply([PoolFact("quiesce.state", "ok")], to: long).bytes == foreign("quiesce.state", "ok"))
    }

    @Test func `every record of a repeated key has the value, so that no old state is seen`() {
        let twice = foreign("quiesce.state", "ok") + foreign("a", "b") + foreign("quiesce.state", "ok")
        let (bytes, problems) = apply([PoolFact("quiesce.state", "failed")], to: twice)
        #expect(
            bytes == foreign("quiesce.state", "failed") + foreign("a", "b") + foreign("quiesce.state", "failed"))
        #expect(problems == [.repeated(key: "quiesce.state", count: 2)])
    }

    @Test func `the torn record of another program is neither overwritten nor completed`() {
        let torn = foreign("a", "b") + foreign("CLOUD_INIT|2", "torn").prefix(700)
        let (bytes, problems) = apply(facts, to: torn)
        #expect(bytes == torn)
        #expect(problems == [.incomplete(bytes: 700)])
        // Existing records are still updated.
        let own = foreign("quiesce.state", "ok") + foreign("quiesce.summary", "old") + torn.suffix(700)
        let after = apply([PoolFact("quiesce.summary", "new"), PoolFact("quiesce.state", "failed")], to: own)
        #expect(after.problems == [])
        #expect(
            after.bytes == foreign("quiesce.state", "failed") + foreign("quiesce.summary", "new")
                + torn.suffix(700))
    }

    @Test func `a torn record of quiesce is replaced`() {
        let torn = foreign("a", "b") + foreign("quiesce.summary", "torn").prefix(2100)
        let (bytes, problems) = apply(facts, to: torn)
        #expect(problems == [])
        #expect(bytes == foreign("a", "b") + foreign("quiesce.summary", "{}") + foreign("quiesce.state", "ok"))
        // A part too short to show the owner of the record.
        let unknown = foreign("a", "b") + Array("quiesce.state".utf8)
        #expect(apply(facts, to: unknown).bytes == unknown)
    }

    @Test func `a full pool gets no new record`() {
        let room = PoolRecords.limit
        let full = (0..<(room - 1)).flatMap { foreign("\($0)", "x") }
        let (bytes, problems) = apply(facts, to: full)
        #expect(bytes == full)
        #expect(problems == [.full(records: room - 1)])
        let updated = apply(facts, to: Array(full.dropLast(2 * PoolRecords.size)) + apply(facts, to: []).bytes)
        #expect(updated.problems == [])
    }

    @Test func `records without a zero byte, and records that are not text, are reported`() {
        var endless = foreign("a", "b")
        endless.replaceSubrange(
            PoolRecords.keySize..., with: [UInt8](repeating: 0x41, count: PoolRecords.valueSize))
        var endlessKey = foreign("a", "b")
        endlessKey.replaceSubrange(
            ..<PoolRecords.keySize, with: [UInt8](repeating: 0x41, count: PoolRecords.keySize))
        var noText = foreign("a", "b")
        noText[0] = 0xFF
        let (bytes, problems) = apply(facts, to: foreign("x", "y") + endless + endlessKey + noText)
        #expect(problems == [.endless(record: 1, count: 2), .notText(record: 3, count: 1)])
        #expect(bytes.count == 6 * PoolRecords.size)
        // quiesce repairs its own record.
        var own = foreign("quiesce.state", "ok")
        own.replaceSubrange(PoolRecords.keySize..., with: [UInt8](repeating: 0x41, count: PoolRecords.valueSize))
        #expect(apply(facts, to: own).problems == [])
        #expect(apply(facts, to: own).bytes.prefix(PoolRecords.size) == foreign("quiesce.state", "ok")[...])
    }

    @Test(arguments: ["x", "é", "€", "😀", "\u{0}"])
    func `a record always has its zero bytes, and is text`(filling: String) {
        for length in [0, 1, 510, 511, 512, 513, 1023, 2046, 2047, 2048, 2049, 5000] {
            let text = String(repeating: filling, count: length)
            let record = PoolFact(text, text).record
            #expect(record.count == PoolRecords.size)
            let (key, value) = (record.prefix(PoolRecords.keySize), record.dropFirst(PoolRecords.keySize))
            #expect(key.last == 0 && value.last == 0)
            for field in [key, value] {
                #expect(String(validating: field.prefix { $0 != 0 }, as: UTF8.self) != nil)
            }
        }
    }
}
