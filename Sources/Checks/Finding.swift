import FreezeCore

/// What one check found of one thing, and what the admin is to do about it.
public struct Finding: Sendable, Hashable {
    public enum Verdict: String, Sendable, Hashable {
        case ok
        /// A backup works, but not as well as it could, or not in every case.
        case warning
        /// A backup would fail, or do harm.
        case error
    }

    /// The check's name: stable, for programs.
    public let check: String
    public let verdict: Verdict
    /// What was found, in a sentence.
    public let statement: String
    /// What to do about it, in a sentence. Nil where there is nothing to do, and for what is ok.
    public let nextStep: String?

    init(_ check: String, _ verdict: Verdict, _ statement: String, nextStep: String? = nil) {
        self.check = check
        self.verdict = verdict
        self.statement = escapedControlCharacters(statement)
        self.nextStep = nextStep.map(escapedControlCharacters)
    }

    /// What another part of quiesce says of it.
    init(_ check: String, _ verdict: Verdict, _ error: any ActionableError) {
        self.init(
            check, verdict, "\(error.subject): \(error.problem)".asSentence, nextStep: error.remedy?.asSentence)
    }
}
