import Foundation
import FreezeCore
import History
import SystemPackage
import Testing

@testable import DataExchange

@Suite struct StateSummaryTests {
    private static let bootID = "6a1f2f9e-95a1-4b5c-a0a3-6c2f3c1d2e4f"

    private func record(
        _ id: String, good: Bool, reason: String? = nil, leftOut: [FilePath] = [], options: FreezeOptions = .init()
    ) -> RequestRecord {
        let clock = WallClock(
            moment: Moment(nanoseconds: 1_000_000_000), wallTime: WallTime(milliseconds: 1_795_257_405_123))
        var record = RequestRecord(id: RequestID(id), channel: .hyperV, clock: clock)
        record.ended = record.started + .seconds(3)
        record.windowOpened = record.started + .seconds(1)
        record.windowClosed = record.started + .milliseconds(1812)
        record.result = good ? .succeeded : .failed
        record.level = good ? .application : nil
        record.reason = reason
        record.options = options
        record.filesystems = leftOut.enumerated().map { index, mountPoint in
            var filesystem = FilesystemRecord(
                device: DeviceNumber(major: 8, minor: UInt32(index)), mountPoint: mountPoint, source: "none",
                type: "ext4", action: .skip, reason: "")
            filesystem.isLeftOut = true
            return filesystem
        }
        return record
    }

    private func report(_ records: [RequestRecord], attention: [String] = []) -> StateReport {
        var requests = RecentRequests()
        for record in records { requests.add(newer: record) }
        return StateReport(
            requests: requests, attention: attention, daemon: .running,
            time: WallTime(milliseconds: 1_795_257_420_999))
    }

    private func parse(_ text: String) throws -> [String: Any] {
        #expect(text.utf16.count < 1022 && text.utf8.count < 2047, "\(text.utf8.count) bytes")
        return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test func `all facts of a good backup`() {
        let text = StateSummary.text(
            report([record("r1", good: true, reason: "1 left out: /scratch", leftOut: ["/scratch"])]),
            bootID: Self.bootID, version: "1.2.3")
        #expect(
            text == """
                {"boot_id":"6a1f2f9e-95a1-4b5c-a0a3-6c2f3c1d2e4f","daemon":"running","format":1,\
                "last":{"channel":"hyperv","ended":"2026-11-21T10:36:48.123Z","id":"r1","level":"application",\
                "reason":"1 left out: /scratch","result":"succeeded","window_ms":812},\
                "last_good":{"age_s":12,"ended":"2026-11-21T10:36:48.123Z","id":"r1","left_out":["/scratch"],\
                "level":"application"},"state":"ok","time":"2026-11-21T10:37:00.999Z","version":"1.2.3"}
                """)
    }

    @Test func `a failure keeps the last good backup, and says why`() throws {
        var lost = record("r2", good: false, reason: "THAW did not come")
        lost.isAnsweredWithSuccess = true
        let summary = try parse(
            StateSummary.text(
                report([record("r1", good: true), lost], attention: ["50-a"]), bootID: Self.bootID))
        #expect(summary["state"] as? String == "failed")
        #expect(
            summary["why"] as? [String] == [
                "the last backup of the whole machine failed", "a hook failed at thaw",
            ])
        #expect((summary["last"] as? [String: Any])?["result"] as? String == "lost")
        #expect((summary["last_good"] as? [String: Any])?["id"] as? String == "r1")
        #expect(summary["attention"] as? [String] == ["50-a"])
    }

    @Test func `without a backup there is none`() throws {
        let summary = try parse(StateSummary.text(report([]), bootID: Self.bootID))
        #expect(summary["last"] == nil && summary["last_good"] == nil)
        #expect(summary["state"] as? String == "attention")
    }

    @Test func `what is left out is shortened first, and counted`() throws {
        let names = (0..<100).map { FilePath("/srv/containers/volume-\($0)") }
        let reason = String(repeating: "r", count: 200)
        let summary = try parse(
            StateSummary.text(
                report([record("r1", good: true, reason: reason, leftOut: names)], attention: ["50-a"]),
                bootID: Self.bootID))
        let good = try #require(summary["last_good"] as? [String: Any])
        let shown = try #require(good["left_out"] as? [String])
        let omitted = try #require(summary["omitted"] as? [String: Any])
        #expect(!shown.isEmpty && shown == names.prefix(shown.count).map(\.string))
        #expect(omitted["left_out"] as? Int == 100 - shown.count)
        #expect(omitted["reason_characters"] == nil && omitted["attention"] == nil)
        #expect((summary["last"] as? [String: Any])?["reason"] as? String == reason)
        #expect(summary["attention"] as? [String] == ["50-a"])
    }

    @Test(arguments: ["x", "\"", "\\", "é", "😀", "\u{1}", "e\u{301}\u{302}"])
    func `whatever the names, the text fits and is JSON`(filling: String) throws {
        for length in [0, 1, 100, 500, 1000, 5000] {
            let text = String(repeating: filling, count: length)
            var bad = record(text, good: false, reason: text, options: FreezeOptions(mountPoints: ["/a"]))
            bad.windowOpened = nil
            let paths = (0..<80).map { FilePath("/\($0)\(text)") }
            let summary = try parse(
                StateSummary.text(
                    report(
                        [record(text + "1", good: true, leftOut: paths), bad],
                        attention: Array(repeating: text, count: 70)),
                    bootID: text, version: text))
            #expect(summary["state"] as? String == "failed")
            #expect((summary["last_good"] as? [String: Any])?["level"] as? String == "application")
            let shown = (summary["last_good"] as? [String: Any])?["left_out"] as? [String] ?? []
            let omitted = (summary["omitted"] as? [String: Any])?["left_out"] as? Int ?? 0
            #expect(shown.count + omitted == paths.count)
        }
    }
}
