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
}
