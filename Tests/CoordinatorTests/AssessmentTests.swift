import FreezeCore
import LinuxCalls
import Testing

@testable import Coordinator

/// The look at the machine that HOT_BACKUP asks for.
@Suite struct AssessmentTests {
    @Test func `there is one at a time`() {
        let assessment = Assessment()
        #expect(assessment.begin())
        #expect(!assessment.begin())
        assessment.end()
        #expect(assessment.begin())
    }

    @Test func `P7 a request that begins cancels the one that runs, and none later`() {
        let assessment = Assessment()
        assessment.cancel()
        #expect(assessment.begin() && !assessment.isCancelled)
        assessment.cancel()
        #expect(assessment.isCancelled)
        assessment.end()
        #expect(assessment.begin() && !assessment.isCancelled)
    }

    @Test func `P7 what runs is waited for before a window`() throws {
        let assessment = Assessment()
        #expect(assessment.waitForEnd(until: .now))
        #expect(assessment.begin())
        assessment.cancel()
        #expect(!assessment.waitForEnd(until: .now + .milliseconds(1)))
        try OperatingSystemThread.start("assess") { assessment.end() }
        #expect(assessment.waitForEnd(until: .now + .seconds(30)))
    }
}
