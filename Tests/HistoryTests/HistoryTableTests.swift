import FreezeCore
import Presentation
import SystemPackage
import Testing

@testable import History

@Suite struct HistoryTableTests {
    private var dryRun: RequestRecord { dryRun("a1b2c3d4e5f60718", channel: .control) }

    private func dryRun(_ id: String, channel: ChannelID) -> RequestRecord {
        var record = RequestRecord.success(id, channel: channel)
        record.isDryRun = true
        (record.windowOpened, record.windowClosed) = (nil, nil)
        record.workingHooks = []
        record.hooks = []
        record.listedHooks = ["10-postgresql", "20-app"]
        return record
    }

    @Test func theTableOfSomeDays() {
        let records =
            [dryRun]
            + [RequestRecord.success(), TimelineExamples.failedHook, TimelineExamples.lost]
        let lines = HistoryTable(records).lines
        #expect(
            lines.joined(separator: "\n") == """
                ID                 WHEN (UTC)           CHANNEL  RESULT   WINDOW, MS
                a1b2c3d4e5f60718   2026-11-21 10:36:45  control  dry run           -
                                   could only be flushed: /mnt/usb
                20261121T103645-1  2026-11-21 10:36:45  hyperv   crash       1160.00
                                   could only be flushed: /mnt/usb
                20261121T103645-1  2026-11-21 10:36:45  hyperv   FAILED            -
                                   ATTENTION, failed at thaw: 10-postgresql; hook 10-postgresql
                                   exited with status 3: psql: error: connection refused
                20261121T103645-1  2026-11-21 10:36:45  hyperv   LOST       60001.00
                                   THAW did not come within freeze.max_window (60s): everything
                                   was thawed, the snapshot may be torn
                """, "is:\n\(lines.joined(separator: "\n"))")
        #expect(HistoryTable([]).lines.isEmpty)
    }

    @Test(arguments: TextStyle.allCases)
    func isNeverWiderThanATerminalAndNeverControlsIt(_ style: TextStyle) {
        var record = dryRun(
            String(repeating: "日/", count: 40), channel: ChannelID(name: String(repeating: "channel", count: 9)))
        record.reason = String(repeating: "why \u{1B}[2J" + String(repeating: "x", count: 90), count: 50)
        record.windowOpened = at(0)
        record.windowClosed = at(1e12)
        for result in [RequestRecord.Result.succeeded, .failed] {
            for isDryRun in [true, false] {
                record.result = result
                record.isDryRun = isDryRun
                let lines = HistoryTable([record], style: style).lines
                #expect(lines.count < 50)
                for line in lines {
                    #expect(line.displayWidth <= TextLayout.width, "\(line)")
                    #expect(line.unicodeScalars.allSatisfy { $0.value >= 0x20 })
                }
            }
        }
    }

    @Test(arguments: [
        (FreezeOptions(isRehearsal: true), "rehearsal", "rehearsal"),
        (FreezeOptions(freezes: false), "hooks only", "hooks only"),
        (FreezeOptions(mountPoints: ["/srv"]), "crash", "1 filesystem selected"),
    ])
    func `P2 a request that is no backup of the whole machine is named, also after it was read`(
        options: FreezeOptions, summary: String, purpose: String
    ) throws {
        var written = RequestRecord.success()
        written.options = options
        for record in [written, try written.read()] {
            #expect(!record.isGoodBackup && record.purpose == purpose)
            let table = HistoryTable([record]).lines.joined(separator: "\n")
            #expect(table.contains(" \(summary) ") && table.contains("\(purpose);"), "\(table)")
            let timeline = Timeline(record).lines
            #expect(timeline.contains { $0.hasPrefix("Purpose  \(purpose): not counted as a backup") })
        }
    }

    @Test func aDryRunIsNamedInItsTimeline() {
        let lines = Timeline(dryRun).lines
        #expect(lines.contains("Result   dry run succeeded: nothing was frozen; level at best crash"))
        #expect(lines.contains("Would freeze:") && lines.contains("Would call:"))
        var failed = dryRun
        failed.result = .failed
        #expect(!failed.isLost)
        #expect(Timeline(failed).lines.contains("Result   dry run FAILED: a backup would fail, too"))
        #expect(!Timeline(failed).lines.contains { $0.hasPrefix("Not frozen") })
    }

    /// Other programs read these.
    @Test func theKeysOfLaterAdditionsAreStable() throws {
        var (record, text) = (dryRun, "")
        for subject in [FailureSubject.filesystem("/srv"), .hook("10-postgresql")] {
            record.subject = subject
            text += String(decoding: record.line(), as: UTF8.self)
            #expect(try record.read() == record)
        }
        for member in [
            #""dry_run":true"#, #""failed_filesystem":"/srv""#, #""failed_hook":"10-postgresql""#,
            #""listed_hooks":["10-postgresql","20-app"]"#,
        ] {
            #expect(text.contains(member))
        }
    }
}
