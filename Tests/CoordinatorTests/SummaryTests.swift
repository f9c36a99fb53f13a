import FreezeCore
import SystemPackage
import Testing

@testable import Coordinator

/// The one line of the log that an admin sees of a request.
@Suite struct SummaryTests {
    private func record() -> RequestRecord {
        RequestRecord(
            id: RequestID("00c0ffee00c0ffee"), channel: .hyperV,
            clock: WallClock(moment: Moment(nanoseconds: 5_000_000_000), wallTime: WallTime(milliseconds: 0)))
    }

    @Test func `a success names the level and how long writers waited`() {
        var record = record()
        record.result = .succeeded
        record.level = .filesystem
        record.reason = "there are no hooks"
        record.windowOpened = Moment(nanoseconds: 6_000_000_000)
        record.windowClosed = Moment(nanoseconds: 8_500_000_000)
        let note = LogNote(summary: record)
        #expect(note.level == .info)
        #expect(
            note.message
                == "request 00c0ffee00c0ffee of hyperv succeeded: 0 filesystems frozen for 2500ms, level filesystem "
                + "(there are no hooks)")
    }

    @Test(arguments: [
        (FreezeOptions(), MessageID.backupSucceeded, "level application"),
        (FreezeOptions(isRehearsal: true), nil, "level application (rehearsal)"),
        (FreezeOptions(mountPoints: ["/srv"]), nil, "level application (1 filesystem selected)"),
        (FreezeOptions(freezes: false), nil, "hooks were called, and nothing was frozen"),
    ])
    func `P2 only a backup of the whole machine has the message of a backup`(
        options: FreezeOptions, message: MessageID?, end: String
    ) {
        var record = record()
        (record.result, record.level, record.options) = (.succeeded, .application, options)
        let note = LogNote(summary: record)
        #expect(note.fields[.messageID] == message?.rawValue)
        #expect(note.message.hasSuffix(end), "\(note.message)")
    }

    @Test(arguments: [
        (FreezeOptions(), MessageID.backupFailed), (FreezeOptions(isRehearsal: true), nil),
        (FreezeOptions(mountPoints: ["/srv"]), .backupFailed), (FreezeOptions(freezes: false), .backupFailed),
    ])
    func `a failed request has the message of a failed backup, but a rehearsal has not`(
        options: FreezeOptions, message: MessageID?
    ) {
        var record = record()
        record.options = options
        #expect(LogNote(summary: record).fields[.messageID] == message?.rawValue)
    }

    @Test func `a failure is an error and says why, on one line that no terminal obeys`() {
        var record = record()
        record.reason = "hook 10-db exited with status 1: \u{1B}[31mno\nway"
        let note = LogNote(summary: record)
        #expect(note.level == .error)
        #expect(
            note.message.hasPrefix("request 00c0ffee00c0ffee of hyperv failed: hook 10-db exited with status 1"))
        #expect(!note.message.contains("\u{1B}") && !note.message.contains("\n"))
    }
}
