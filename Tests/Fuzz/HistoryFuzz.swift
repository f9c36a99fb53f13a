import FreezeCore
import SystemPackage

@testable import History

/// `history.jsonl`: torn by a crash, edited by hand, or written by another version.
struct HistoryFuzz: ParserFuzz {
    static let name = "history"
    static let sources = [
        "History/RequestRecord+Codable.swift", "History/FilesystemRecord+Codable.swift",
        "History/HookRun+Codable.swift", "History/Coding+Times.swift", "History/RequestRecord+Line.swift",
        "History/HistoryFile+Reading.swift", "History/ReverseLineReader.swift", "History/WallTime+Text.swift",
    ]

    private let mutation = Mutation([
        "null", "true", "{", "}", "[", "]", "{}", "[]", ",", "\"version\"", "\"version\":2,", "\"\"",
        "\"\\ud800\"",
        "1e309", "-0", "\"2026-11-21T10:36:45.123Z\"", "\"0000-01-01T00:00:00.000Z\"",
        "\"9999-12-31T23:59:60.999Z\"",
        "\"99999999999-01-01T00:00:00.000Z\"", "\"2026-11-21T10:36:45.-12Z\"", "\"timed_out\"", "\n\n", "\n",
    ])
    private let file: ScratchFile
    private let history: HistoryFile

    init() throws {
        file = try ScratchFile()
        history = HistoryFile(file.path)
    }

    func makeInput(_ random: inout SplitMix64) -> FuzzInput {
        var bytes: [UInt8] = []
        let isValid = random.oneIn(2)
        for _ in 0..<random.below(isValid ? 3 : 4) {
            let limit = random.oneIn(20) ? 100 + random.below(4000) : RecordLimit.line
            let line = RequestRecord.random(&random).line(limit: limit)
            bytes += isValid || random.oneIn(3) ? line : mutation.mutated(line, &random)
            if isValid || !random.oneIn(20) { bytes.append(newline) }
        }
        if isValid { return FuzzInput(bytes, isValid: true) }
        // Lines that fill several pieces of what is read at once, and lines that are too long.
        if random.oneIn(100) { pad(&bytes, by: 65_536 - 40 + random.below(80), &random) }
        if random.oneIn(2000) { pad(&bytes, by: RecordLimit.line - 20 + random.below(40), &random) }
        return FuzzInput(bytes)
    }

    private func pad(_ bytes: inout [UInt8], by count: Int, _ random: inout SplitMix64) {
        let filling: UInt8 = random.one(of: [UInt8(ascii: " "), newline, 0, UInt8(ascii: "[")])
        bytes.insert(contentsOf: [UInt8](repeating: filling, count: count), at: random.below(bytes.count + 1))
    }

    // MARK: Feeding

    func check(_ input: FuzzInput) throws -> Verdict {
        try file.fill(with: input.bytes)
        let page = try history.records()
        try checkAgainstForwardReading(page, input.bytes)
        try require(!input.isValid || page.unreadableLines == 0, "a line of ours cannot be read")
        if input.isValid {
            let lines = input.bytes.split(separator: newline).map { Array($0) }
            try require(page.records.reversed().map { $0.line() } == lines, "a member is lost")
        }
        for record in page.records { try checkRecord(record) }
        var random = SplitMix64(of: input.bytes)
        if random.oneIn(4) { try checkQueries(page) }
        if random.oneIn(50) { try checkOtherPaths() }
        _ = HistoryTable(page.records).lines
        return page.records.isEmpty ? .refused : .accepted
    }

    /// From its end or from its start, the lines are the same.
    private func checkAgainstForwardReading(_ page: HistoryPage, _ bytes: [UInt8]) throws {
        var records: [RequestRecord] = []
        var unreadable = 0
        for line in bytes.split(separator: newline) {
            if line.count <= RecordLimit.line, let record = try? RequestRecord(line: line) {
                records.append(record)
            } else {
                unreadable += 1
            }
        }
        try require(page.records == records.reversed(), "read backwards it says something else")
        try require(
            page.unreadableLines == unreadable, "\(page.unreadableLines) unreadable lines, not \(unreadable)")
    }

    private func checkRecord(_ record: RequestRecord) throws {
        let line = record.line()
        try require(line.count <= RecordLimit.line, "a line is too long")
        try require(!line.contains(newline), "a record has two lines")
        // Lines are compared, and not records: an edited file may have characters that quiesced escapes.
        try require(try RequestRecord(line: line).line() == line, "a record does not come back")
        let isWhole = record.result == .succeeded && !record.isDryRun && record.options == FreezeOptions()
        try require(record.isGoodBackup == isWhole, "a request that is no backup counts as one")
        // Only new ones are shortened: none has left out more than there is.
        var new = record
        new.omitted = nil
        let shortened = try RequestRecord(line: new.line(limit: 600))
        try require(shortened.id == record.id && shortened.result == record.result, "shortened it is another")
        // Whatever is in it, it can be shown, and controls no terminal.
        for line in Timeline(record).lines {
            for scalar in line.unicodeScalars {
                let category = scalar.properties.generalCategory
                try require(category != .control && category != .format, "it controls the terminal: \(line)")
            }
        }
    }

    /// What is not there is empty; what cannot be a file is an error that names it.
    private func checkOtherPaths() throws {
        let missing = try HistoryFile(FilePath("\(file.path).missing")).records()
        try require(missing.records.isEmpty && missing.unreadableLines == 0, "records of nowhere")
        let path = file.path.appending("history.jsonl")
        do throws(HistoryError) {
            _ = try HistoryFile(path).records()
        } catch {
            return try require(error.description.contains(path.string), "\(error) names no file")
        }
        throw BrokenPromise("records from below a file")
    }

    private func checkQueries(_ page: HistoryPage) throws {
        try require(try history.last().record == page.records.first, "the last one is not the newest")
        try require(try history.records(limit: 2).records == Array(page.records.prefix(2)), "not the newest two")
        try require(
            try history.lastGood().record == page.records.first(where: \.isGoodBackup), "not the last good one")
        if let oldest = page.records.last {
            let found = try history.record(id: oldest.id.text).record
            try require(found == page.records.first { $0.id == oldest.id }, "not the one that was asked for")
        }
    }
}
