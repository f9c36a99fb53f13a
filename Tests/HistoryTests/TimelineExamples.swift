import FreezeCore
import SystemPackage

/// Requests as they end, well or not.
enum TimelineExamples {
    static let all: [(name: String, record: RequestRecord)] = [
        ("success", .success()), ("failed hook", failedHook), ("busy", busy), ("lost", lost), ("stuck", stuck),
        ("many", many),
    ]

    static var failedHook: RequestRecord {
        var record = RequestRecord.success()
        let output = (1...14).map { "line \($0)\n" }.joined() + "\tpsql: error: connection refused\u{1B}[31m\n"
        record.hooks = [
            RequestRecord.hook("10-postgresql", .freeze, 103, 311.5, .exited(status: 3), output: output),
            RequestRecord.hook("10-postgresql", .thaw, 430, 30_000, .timedOut(abandoned: false)),
        ]
        record.refusedHooks = [PlannedHook(name: "30-old", refusal: "writable by group")]
        for index in record.filesystems.indices {
            record.filesystems[index].freeze = nil
            record.filesystems[index].thaw = nil
            record.filesystems[index].flushes = Array(record.filesystems[index].flushes.prefix(1))
        }
        record.windowOpened = nil
        record.windowClosed = nil
        record.answered = at(420)
        record.isAnsweredWithSuccess = false
        record.ended = at(30_431)
        return failed(record, "hook 10-postgresql exited with status 3: psql: error: connection refused")
    }

    static var busy: RequestRecord {
        var record = RequestRecord.success()
        record.filesystems[1].freeze = timed(626, 0.02, .resourceBusy)
        record.filesystems[1].thaw = nil
        record.filesystems[0].thaw = timed(627, 0.125)
        record.windowClosed = at(628)
        record.answered = at(628)
        record.isAnsweredWithSuccess = false
        record.hooks = record.hooks.map {
            $0.phase == .freeze ? $0 : RequestRecord.hook($0.name, .thaw, 640, 12)
        }
        record.ended = at(660)
        return failed(
            record,
            "/: it is frozen already, by somebody else; find out who (another backup agent?) before thawing it with "
                + "`fsfreeze -u`")
    }

    static var lost: RequestRecord {
        var record = RequestRecord.success()
        record.filesystems[0].thaw = timed(60_624, 0.125, .invalidArgument)
        record.filesystems[1].thaw = timed(60_623.5, 0.25)
        record.windowClosed = at(60_625)
        record.hooks = record.hooks.filter { $0.phase == .freeze }
        record.ended = at(60_626)
        return failed(
            record,
            "THAW did not come within freeze.max_window (60s): everything was thawed, the snapshot may be "
                + "torn")
    }

    static var stuck: RequestRecord {
        var record = RequestRecord.success()
        record.filesystems[1].freeze = nil
        record.filesystems[1].thaw = nil
        record.filesystems[1].isStuck = true
        record.filesystems[0].thaw = timed(10_625, 0.125)
        record.windowClosed = at(15_626)
        record.answered = at(15_626)
        record.isAnsweredWithSuccess = false
        record.hooks = record.hooks.filter { $0.phase == .freeze }
        record.ended = at(15_627)
        return failed(
            record,
            "/: not frozen within freeze.timeout (10.0 seconds); a writer or the device does not get ready")
    }

    static var many: RequestRecord {
        var record = RequestRecord.make()
        for index in 0..<300 {
            var filesystem = FilesystemRecord(
                planned(
                    FilePath("/srv/tenants/customer-\(index)/production/database"), minor: UInt32(index + 1)))
            let slowness = Double(index * 37 % 300)
            filesystem.flushes = [
                timed(2, slowness / 10), timed(40, slowness * 3 / 1000),
            ]
            filesystem.freeze = timed(45 + slowness / 100, slowness / 20)
            filesystem.thaw = timed(265 + slowness / 100, 0.1)
            record.filesystems.append(filesystem)
        }
        record.windowOpened = at(44)
        record.answered = at(64)
        record.isAnsweredWithSuccess = true
        record.windowClosed = at(269)
        record.ended = at(270)
        record.result = .succeeded
        record.level = .filesystem
        record.reason = "there are no hooks"
        return record
    }

    private static func failed(_ record: RequestRecord, _ reason: String) -> RequestRecord {
        var record = record
        record.result = .failed
        record.level = nil
        record.reason = reason
        return record.finished
    }
}
