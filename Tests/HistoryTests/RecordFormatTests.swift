import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

@testable import History

@Suite struct RecordFormatTests {
    @Test(arguments: TimelineExamples.all.map(\.name))
    func survivesTheFile(_ name: String) throws {
        let record = try #require(TimelineExamples.all.first { $0.name == name }?.record)
        let read = try record.read()
        #expect(read.line() == record.line())
        #expect(Timeline(read).lines == Timeline(record).lines)
    }

    /// Other programs read this: a difference here is a new version.
    @Test func shapeIsStable() {
        var request = RequestRecord.make()
        request.filesystems = [
            FilesystemRecord(planned("/my data", minor: 17, step: 0, others: ["/mnt/bind"])),
            FilesystemRecord(planned("/proc", minor: 18, action: .skip, reason: "pseudo", type: "proc")),
        ]
        request.filesystems[0].flushes = [
            timed(1, 1.234)
        ]
        request.filesystems[0].freeze = timed(12.5, 0.125, .resourceBusy)
        request.hooks = [
            RequestRecord.hook("10-db", .freeze, 3, 4, output: "ready\n"),
            RequestRecord.hook("10-db", .thaw, 14, 30, .timedOut(abandoned: true)),
        ]
        request.refusedHooks = [PlannedHook(name: "20-x", refusal: "writable by group")]
        request.windowOpened = at(12)
        request.windowClosed = at(13)
        request.answered = at(13)
        request.isAnsweredWithSuccess = false
        request.ended = at(45)
        request.reason = "/my data: it is frozen already"
        #expect(
            String(decoding: request.finished.line(), as: UTF8.self) == """
                {"attention":["10-db"],"channel":"hyperv","duration_ms":45,"ended":"2026-11-21T10:36:45.168Z",\
                "filesystems":[{"action":"freeze","device":"8:17","flushes":[{"duration_ms":1.234,"offset_ms":1}],\
                "freeze":{"duration_ms":0.125,"error":{"errno":"EBUSY","message":"Device or resource busy"},\
                "offset_ms":12.5},"level":0,"mount_point":"/my\\\\040data","other_mount_points":["/mnt/bind"],\
                "reason":"read-write ext4","source":"/dev/sda17","type":"ext4"},\
                {"action":"skip","device":"8:18","mount_point":"/proc","reason":"pseudo","source":"/dev/sda18",\
                "type":"proc"}],"freeze_answer":{"offset_ms":13,"success":false},\
                "hooks":[{"duration_ms":4,"name":"10-db","offset_ms":3,"outcome":"exited","output":"ready\\n",\
                "phase":"freeze","status":0},{"abandoned":true,"duration_ms":30,"name":"10-db","offset_ms":14,\
                "outcome":"timed_out","phase":"thaw"}],"id":"20261121T103645-1",\
                "reason":"/my data: it is frozen already","refused_hooks":[{"name":"20-x",\
                "reason":"writable by group"}],"result":"failed","started":"2026-11-21T10:36:45.123Z","version":1,\
                "window":{"duration_ms":1,"offset_ms":12},"working_hooks":["10-db"]}
                """)
    }

    @Test func momentsOfAnyBootAreWrittenAsOffsets() throws {
        func record(at moment: Moment) -> RequestRecord {
            func timed(_ offset: Int) -> TimedResult {
                TimedResult(
                    error: nil, started: moment + .milliseconds(offset), ended: moment + .milliseconds(offset + 1))
            }
            var record = RequestRecord(
                id: RequestID("r"), channel: .hyperV,
                clock: WallClock(moment: moment, wallTime: startClock.wallTime))
            var filesystem = FilesystemRecord(planned("/srv"))
            (filesystem.flushes, filesystem.freeze, filesystem.thaw) = ([timed(1)], timed(5), timed(20))
            record.filesystems = [filesystem]
            record.hooks = [
                HookRun(
                    name: "10-a", phase: .freeze, outcome: .ready, output: "", isOutputTruncated: false,
                    started: moment + .milliseconds(2), duration: .milliseconds(1))
            ]
            (record.windowOpened, record.windowClosed) = (timed(5).started, timed(20).ended)
            (record.answered, record.ended) = (timed(7).started, timed(30).ended)
            return record
        }
        let boot = record(at: Moment(nanoseconds: 0))
        #expect(record(at: Moment(nanoseconds: 5_000_000_000_000)).line() == boot.line())
        #expect(try boot.read() == boot)
    }

    @Test func nullIsNoMember() throws {
        let nulls = [
            "freeze_answer", "window", "reason", "level", "selection", "unreachable", "working_hooks", "attention",
            "dry_run", "omitted",
        ].map { "\"\($0)\":null" }.joined(separator: ",")
        let filesystem = #"{"mount_point":"/","device":"8:1","source":"s","type":"t","action":"skip","reason":""#
        let members = #"","flushes":null,"freeze":null,"thaw":null,"stuck":null,"holders":null}"#
        let small = """
            {"version":1,"id":"x","channel":"c","started":"2026-11-21T10:36:45.123Z",\
            "ended":"2026-11-21T10:36:45.123Z","duration_ms":1,"result":"failed","refused_hooks":[],\(nulls),\
            "hooks":[],"filesystems":[\(filesystem)\(members)]}
            """
        let record = try RequestRecord(line: Array(small.utf8))
        #expect(
            record.answered == nil && record.window == nil && record.filesystems.first?.flushes.isEmpty == true)
    }

    @Test func filesystemsInNoMountTableAreKept() throws {
        var request = RequestRecord.success()
        #expect(!String(decoding: request.line(), as: UTF8.self).contains("unreachable"))
        var lost = UnreachableFilesystem(
            type: "xfs", source: "/dev/sdb1", devices: [DeviceNumber(major: 8, minor: 17)], life: nil)
        lost.identity.uuid = "5a7b"
        request.unreachable = [lost]
        let record = request
        let line = String(decoding: record.line(), as: UTF8.self)
        #expect(
            line.contains(
                #""unreachable":[{"devices":["8:17"],"source":"/dev/sdb1","type":"xfs","uuid":"5a7b"}]"#))
        #expect(try RequestRecord(line: record.line()) == record)
        #expect(Timeline(record).lines.contains("In no mount table, so not frozen:"))
    }

    @Test func keysOfLaterMinorChangesAreIgnoredAndOtherVersionsRefused() throws {
        let line = String(decoding: RequestRecord.success().line(), as: UTF8.self)
        let more = line.dropLast() + ",\"new_key\":{\"a\":[1]}}"
        #expect(try RequestRecord(line: Array(more.utf8)) == RequestRecord.success())
        let newer = line.replacing("\"version\":1", with: "\"version\":2")
        #expect(throws: (any Error).self) { try RequestRecord(line: Array(newer.utf8)) }
    }

    @Test func pathThatIsNotUTF8KeepsEveryByte() throws {
        let bytes: [CChar] = Array("/srv/b".utf8CString.dropLast()) + [CChar(bitPattern: 0xFF), 0x0A, 0]
        let path = bytes.withUnsafeBufferPointer { buffer in
            buffer.baseAddress.map { FilePath(platformString: $0) } ?? "/"
        }
        var request = RequestRecord.make()
        request.filesystems = [FilesystemRecord(planned(path))]
        let record = try RequestRecord(line: request.line())
        #expect(record.filesystems.first?.mountPoint == path)
        #expect(String(decoding: record.line(), as: UTF8.self).contains(#""mount_point":"/srv/b\\377\\012""#))
    }

    @Test func answerIsASuccessOnlyInsideTheWindow() {
        #expect(RequestRecord.success().isAnsweredWithSuccess)
        #expect(!TimelineExamples.busy.isAnsweredWithSuccess)
        #expect(!TimelineExamples.failedHook.isAnsweredWithSuccess)
        #expect(!TimelineExamples.stuck.isAnsweredWithSuccess)
        #expect(TimelineExamples.lost.isLost)
        #expect(!TimelineExamples.busy.isLost)
    }

    // MARK: Bounds

    @Test(arguments: ["x", "é", "日", "\u{1F600}", "\u{9B}", "\n"])
    func outputIsKeptFromItsEnd(_ character: String) {
        let output = "first" + String(repeating: character, count: 70_000) + "last"
        let (text, isCut) = outputTail(output, limit: 4096)
        #expect(isCut)
        #expect(text.utf8.count <= 4096 && text.utf8.count > 4000)
        #expect(text.hasSuffix("last"))
        #expect(outputTail("short\tone\n", limit: 4096) == ("short\tone\n", false))
    }

    @Test func recordIsBoundedAndKeepsWhatFailed() throws {
        var request = RequestRecord.make()
        let long = String(repeating: "\u{1}", count: 200)
        for index in 0..<4000 {
            let action: FilesystemAction = index % 2 == 0 ? .freeze : .skip
            request.filesystems.append(
                FilesystemRecord(
                    planned(FilePath("/\(long)/\(index)"), minor: UInt32(index), action: action)))
        }
        request.filesystems[3000].freeze = timed(1, 1, .resourceBusy)
        let output = String(repeating: "x", count: 65_536)
        request.hooks = (0..<300).map { RequestRecord.hook("hook-\($0)", .freeze, 0, 1, output: output) }
        request.hooks.append(RequestRecord.hook("bad", .freeze, 0, 1, .exited(status: 1), output: output))
        let line = request.line()
        #expect(line.count <= RecordLimit.line)
        let record = try RequestRecord(line: line)
        #expect(record.filesystems.contains { $0.freeze?.error == .resourceBusy })
        #expect(record.filesystems.allSatisfy { $0.action == .freeze })
        #expect(record.hooks.contains { $0.name == "bad" })
        #expect(record.omitted?.filesystems == 4000 - record.filesystems.count)
        #expect(record.omitted?.hooks == 301 - record.hooks.count)
        #expect(Timeline(record).lines.last?.hasPrefix("Left out of the record: ") == true)
    }

    // MARK: Times

    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000Z"), (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_257_465_123, "2026-11-21T10:37:45.123Z"), (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"), (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        ] as [(Int64, String)])
    func wallTimeIsRFC3339(_ milliseconds: Int64, _ text: String) {
        #expect(WallTime(milliseconds: milliseconds).description == text)
        #expect(WallTime(text) == WallTime(milliseconds: milliseconds))
    }

    @Test(arguments: [
        "", "2026-11-21T10:36:45Z", "2026-13-21T10:36:45.123Z", "2026-11-21 10:36:45.123Z",
        "2026-11-21T1é:36:45.12Z",
    ])
    func otherTextIsNoTime(_ text: String) {
        #expect(WallTime(text) == nil)
    }

    @Test func clocksAreReadTogether() {
        let clock = WallClock.current()
        #expect(clock.wallTime.milliseconds > 1_600_000_000_000)
        #expect(clock.wallTime(of: clock.moment) == clock.wallTime)
        #expect(clock.wallTime(of: clock.moment + .seconds(-1)).milliseconds == clock.wallTime.milliseconds - 1000)
    }
}
