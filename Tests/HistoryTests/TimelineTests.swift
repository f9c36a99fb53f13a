import FreezeCore
import Presentation
import SystemPackage
import Testing

@testable import History

@Suite struct TimelineTests {
    @Test(arguments: TimelineExamples.all.map(\.name))
    func drawsTheWholeRequest(_ name: String) throws {
        let record = try #require(TimelineExamples.all.first { $0.name == name }?.record)
        let lines = Timeline(record).lines
        #expect(
            lines.joined(separator: "\n") == TimelineGolden.texts[name], "is:\n\(lines.joined(separator: "\n"))")
    }

    @Test func isPlainASCIIWhereTheLocaleIsNotUTF8() {
        var record = RequestRecord.success()
        record.filesystems[1] = FilesystemRecord(planned("/srv/Büro", minor: 9))
        record.filesystems[1].freeze = timed(626, 4)
        let text = Timeline(record, style: .ascii).lines.joined(separator: "\n")
        #expect(text.utf8.allSatisfy { $0 == 0x0A || (0x20..<0x7F).contains($0) })
        #expect(text.contains("freeze /srv/B\\303\\274ro"))
        #expect(text.contains("|      ############| FROZEN"))
    }

    @Test func everyStepHasAtLeastOneMark() {
        for line in Timeline(TimelineExamples.lost).lines where line.contains("│") {
            #expect(line.contains("━") || line.contains("█") || line.contains("Outcome"))
        }
    }

    @Test func nothingInARecordControlsTheTerminal() {
        var record = RequestRecord.success()
        record.reason = "\u{1B}[2Jgone\u{202E}\u{9B}31m\r\n"
        record.hooks[0] = RequestRecord.hook(
            "10-\u{7}bell", .freeze, 103, 1, .exited(status: 1),
            output: "a\u{1B}]0;title\u{7}\r\nb\u{85}c\u{2028}d")
        for style in TextStyle.allCases {
            for scalar in Timeline(record, style: style).lines.joined().unicodeScalars {
                #expect(scalar.value >= 0x20 && scalar.properties.generalCategory != .control)
                #expect(scalar.properties.generalCategory != .format)
            }
        }
    }

    /// Not even a file that was edited by hand makes it trap.
    @Test func drawsAbsurdNumbers() throws {
        let line = """
            {"version":1,"id":"x","channel":"c","started":"2026-11-21T10:36:45.123Z",\
            "ended":"2026-11-21T10:36:45.123Z","duration_ms":-1e12,"result":"failed","refused_hooks":[],\
            "freeze_answer":{"offset_ms":1e12,"success":true},"window":{"offset_ms":-5,"duration_ms":1e12},\
            "hooks":[{"name":"h","phase":"freeze","offset_ms":1e12,"duration_ms":1e12,"outcome":"exited"}],\
            "filesystems":[{"mount_point":"/","device":"8:1","source":"s","type":"t","action":"freeze","reason":"",\
            "freeze":{"offset_ms":-1e12,"duration_ms":-1},"thaw":{"offset_ms":1e12,"duration_ms":123456789.5}}]}
            """
        let record = try RequestRecord(line: Array(line.utf8))
        for line in Timeline(record).lines { #expect(line.displayWidth <= TextLayout.width) }
        let tooLong = line.replacing("\"duration_ms\":-1e12", with: "\"duration_ms\":1e300")
        #expect(throws: DecodingError.self) { try RequestRecord(line: Array(tooLong.utf8)) }
    }

    @Test(arguments: 0..<100)
    func neverWiderThan80(seed: UInt64) {
        var random = RandomRecord(seed: seed)
        let record = random.make()
        for style in TextStyle.allCases {
            for line in Timeline(record, style: style).lines {
                #expect(line.displayWidth <= TextLayout.width, "seed \(seed): \(line)")
            }
        }
    }
}

/// A request with anything in it.
private struct RandomRecord {
    private var generator: SeededGenerator

    init(seed: UInt64) {
        generator = SeededGenerator(seed: seed)
    }

    private mutating func number(_ range: ClosedRange<Int>) -> Int { .random(in: range, using: &generator) }
    private mutating func chance(_ percent: Int) -> Bool { number(1...100) <= percent }

    private mutating func offset() -> Double { Double(number(0...10_000_000)) / Double(number(1...1000)) }

    private mutating func text(_ maximum: Int) -> String {
        let alphabet: [Unicode.Scalar] = [
            "a", "b", "/", "é", "日", "\u{301}", "\u{1F468}", " ", "\t", "\n", "\u{1B}", "\\", "\r",
        ]
        var text = ""
        for _ in 0..<number(0...maximum) { text.unicodeScalars.append(alphabet[number(0...(alphabet.count - 1))]) }
        return text
    }

    private mutating func result() -> TimedResult {
        let errors: [Errno?] = [
            nil, nil, .resourceBusy, .invalidArgument, Errno(rawValue: 524), .notSupportedOnSocket,
        ]
        return timed(offset(), offset(), errors[number(0...(errors.count - 1))])
    }

    mutating func make() -> RequestRecord {
        var record = RequestRecord.make(text(100), channel: ChannelID(name: text(60)))
        for index in 0..<number(0...(chance(10) ? 300 : 12)) {
            let action = FilesystemAction.allCases[number(0...2)]
            let item = planned(
                FilePath("/" + text(chance(20) ? 200 : 12)), minor: UInt32(index), action: action,
                step: number(0...2),
                reason: text(90), type: text(10))
            var filesystem = FilesystemRecord(item)
            for _ in 0..<number(0...2) {
                filesystem.flushes.append(
                    timed(offset(), Double(number(0...100_000)), chance(20) ? .ioError : nil))
            }
            if chance(70) { filesystem.freeze = result() }
            if chance(70) { filesystem.thaw = result() }
            filesystem.isStuck = chance(10)
            record.filesystems.append(filesystem)
        }
        for _ in 0..<number(0...(chance(10) ? 60 : 4)) {
            let outcomes: [HookOutcome] = [
                .exited(status: 0), .exited(status: 255), .signalled(signal: 11), .timedOut(abandoned: chance(50)),
                .notStarted(reason: text(200)),
            ]
            record.hooks.append(
                RequestRecord.hook(
                    text(60), chance(50) ? .freeze : .thaw, offset(), offset(), outcomes[number(0...4)],
                    output: text(600)))
        }
        for _ in 0..<number(0...3) {
            record.refusedHooks.append(PlannedHook(name: text(90), refusal: text(90)))
        }
        if chance(70) { record.windowOpened = at(offset()) }
        if chance(60) { record.windowClosed = at(offset()) }
        if chance(60) { record.answered = at(offset()) }
        record.isAnsweredWithSuccess = chance(70)
        record.ended = at(offset())
        record.result = chance(50) ? .succeeded : .failed
        record.level = ConsistencyLevel.allCases[number(0...2)]
        record.reason = chance(80) ? text(500) : nil
        return record.finished
    }
}
