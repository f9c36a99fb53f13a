import FreezeCore
import Testing

/// A message ends with one full stop.
@Suite struct SentenceTests {
    private struct Sample: ActionableError {
        var subject = "/x"
        var problem = "it is odd"
        var remedy: String?
    }

    @Test(arguments: [("a", "a."), ("a.", "a."), ("Did you mean a?", "Did you mean a?"), ("", "")])
    func `a full stop is added where none is`(text: String, sentence: String) {
        #expect(text.asSentence == sentence)
    }

    @Test func `a problem that is a sentence gets no second full stop`() {
        #expect("\(Sample(remedy: "Mend it."))" == "/x: it is odd. Mend it.")
        #expect("\(Sample(problem: "is it odd?", remedy: "Mend it."))" == "/x: is it odd? Mend it.")
        #expect("\(Sample(problem: "it is odd.", remedy: "Mend it."))" == "/x: it is odd. Mend it.")
    }

    @Test func `a message without a subject begins with the problem`() {
        #expect("\(Sample(subject: ""))" == "it is odd")
    }
}
