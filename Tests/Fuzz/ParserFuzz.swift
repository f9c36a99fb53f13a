/// What is fed to a parser.
struct FuzzInput: Sendable {
    let bytes: [UInt8]
    /// True if it was made by the rules: then the parser has to accept it.
    let isValid: Bool

    init(_ bytes: [UInt8], isValid: Bool = false) {
        self.bytes = bytes
        self.isValid = isValid
    }
}

enum Verdict: Sendable {
    case accepted
    case refused
}

/// One parser of what comes from outside, and how it is attacked.
protocol ParserFuzz {
    /// As it is called on the command line.
    static var name: String { get }
    /// The files the parser is made of, below Sources: their lines have to be covered.
    static var sources: [String] { get }

    /// Bytes that a library is known to lose for each input.
    static var knownLoss: Int { get }

    init() throws

    /// Makes an input, from the random numbers alone.
    func makeInput(_ random: inout SplitMix64) -> FuzzInput

    /// Feeds it, and checks what has to hold of the outcome.
    ///
    /// - Throws: `BrokenPromise`.
    func check(_ input: FuzzInput) throws -> Verdict
}

extension ParserFuzz {
    static var knownLoss: Int { 0 }
}

/// What does not hold of an input.
struct BrokenPromise: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

/// Stops the run unless it holds.
func require(_ holds: Bool, _ promise: @autoclosure () -> String) throws {
    guard holds else { throw BrokenPromise(promise()) }
}
