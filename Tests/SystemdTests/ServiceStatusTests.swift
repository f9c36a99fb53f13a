import FreezeCore
import LinuxCalls
import SystemPackage
import Testing

@testable import Systemd

@Suite struct ServiceStatusTests {
    private static let request = RequestID("20260102T030405-1")

    private static func status(after events: RequestProgress.Event..., of request: RequestID? = request)
        -> ServiceStatus
    {
        var status = ServiceStatus()
        for event in events {
            _ = status.update(
                with: RequestProgress(request: request, channel: request.map { _ in .hyperV }, event: event))
        }
        return status
    }

    private static func record(_ change: (inout RequestRecord) -> Void) -> RequestRecord {
        var record = RequestRecord(id: request, channel: .hyperV, clock: .current())
        change(&record)
        return record
    }

    @Test func `it says what is done for whom`() {
        #expect(ServiceStatus().text == "Starting: thawing filesystems that the previous instance left frozen.")
        #expect(
            Self.status(after: .entered(.recovering), of: nil).text
                == "Thawing filesystems that the previous instance left frozen.")
        #expect(Self.status(after: .entered(.idle), of: nil).text == "Waiting for a request.")
        #expect(
            Self.status(after: .entered(.frozen)).text == "Frozen: request 20260102T030405-1 of hyperv.")
        #expect(
            Self.status(after: .entered(.freezeHooks)).text
                == "Running freeze hooks: request 20260102T030405-1 of hyperv.")
    }

    @Test func `the last end stays`() {
        let good = Self.record {
            $0.result = .succeeded
            $0.level = .application
        }
        var status = Self.status(after: .finished(good), .entered(.idle))
        #expect(
            status.text == "Waiting for a request. Last: 20260102T030405-1 succeeded, level application.")
        let bad = Self.record { $0.reason = "/data: it broke\nin two" }
        let isNews = status.update(with: RequestProgress(request: nil, channel: nil, event: .finished(bad)))
        #expect(isNews)
        #expect(
            status.text == "Waiting for a request. Last: 20260102T030405-1 failed: /data: it broke\\012in two.")
    }

    @Test(arguments: [
        (FreezeOptions(isRehearsal: true), "rehearsal"),
        (FreezeOptions(mountPoints: ["/a", "/b"]), "2 filesystems selected"),
        (FreezeOptions(freezes: false), "hooks only"),
    ])
    func `P2 a request that is no backup of the whole machine is named`(options: FreezeOptions, purpose: String) {
        let record = Self.record {
            $0.result = .succeeded
            $0.options = options
        }
        #expect(Self.status(after: .finished(record)).text.hasSuffix("succeeded, \(purpose)."))
    }

    @Test func `what changes nothing is no news`() {
        var status = Self.status(after: .entered(.freezing))
        let froze = RequestProgress(
            request: Self.request, channel: .hyperV,
            event: .froze("/", TimedResult(error: nil, started: .now, ended: .now)))
        let isNews = status.update(with: froze)
        #expect(!isNews)
    }
}
