import FoundationEssentials
import FreezeCore
import Testing

@testable import Checks

@Suite struct CheckReportTests {
    private func report(_ verdicts: Finding.Verdict...) -> CheckReport {
        CheckReport(findings: verdicts.map { Finding("x", $0, "It is so.") })
    }

    @Test func theVerdictCounts() {
        #expect(report(.ok).summary == "Ready.")
        #expect(report(.ok, .warning).summary == "Ready, with 1 warning.")
        #expect(report(.warning, .warning).summary == "Ready, with 2 warnings.")
        #expect(report(.error).summary == "Not ready: 1 error.")
        #expect(report(.error, .warning, .error).summary == "Not ready: 2 errors, 1 warning.")
        #expect(report(.warning).isReady && !report(.error).isReady)
    }

    /// Other programs read these.
    @Test func theKeysAreStable() throws {
        let report = CheckReport(findings: [
            Finding("plan", .ok, "Fine."), Finding("hooks", .error, "Bad\u{1B}.", nextStep: "Mend it."),
        ])
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        #expect(
            String(decoding: try encoder.encode(report), as: UTF8.self)
                == #"{"errors":1,"findings":["#
                + #"{"check":"plan","next_step":null,"statement":"Fine.","verdict":"ok"},"#
                + #"{"check":"hooks","next_step":"Mend it.","statement":"Bad\\033.","verdict":"error"}],"#
                + #""ready":false,"summary":"Not ready: 1 error.","warnings":0}"#)
    }

    /// Every check says something, in sentences, and what is not ok says what to do.
    @Test func everyCheckAnswersOnThisMachine() throws {
        let subject = try CheckFixture().subject
        let report = CheckRun.report(on: subject)
        let names = Set(report.findings.map(\.check))
        #expect(
            names == [
                "configuration", "plan", "hooks", "device", "run_directory", "state_directory", "control_socket",
                "capabilities", "freezer", "ledger", "fanotify", "audit", "hung_task", "attention", "databases",
            ])
        for finding in report.findings {
            #expect(finding.statement.hasSuffix("."), "\(finding)")
            #expect(finding.nextStep?.hasSuffix(".") != false, "\(finding)")
        }
    }
}
