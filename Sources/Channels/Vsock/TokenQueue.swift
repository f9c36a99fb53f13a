import FreezeCore

/// The order of tokens to compare: one after the other, and after a wrong token with a pause, which grows. So nobody can
/// try many tokens, on however many connections, and a client with the right token waits for its turn at most.
struct TokenQueue<Attempt> {
    /// Between 16 connections, the last waits for 16 of the longest pauses.
    static var longestPause: Duration { .seconds(2) }
    private static var firstPause: Duration { .milliseconds(250) }
    /// Without a wrong token for so long, the pauses start over.
    private static var quiet: Duration { .seconds(60) }

    private var waiting: [Attempt] = []
    private var pauses = RetryPauses(first: firstPause, longest: longestPause)
    private var lastWrong: Moment?
    private var nextComparison = Moment(nanoseconds: 0)

    mutating func add(_ attempt: Attempt) {
        waiting.append(attempt)
    }

    mutating func remove(where isGone: (Attempt) -> Bool) {
        waiting.removeAll(where: isGone)
    }

    /// When the next token is to be compared; nil if none waits.
    var due: Moment? { waiting.isEmpty ? nil : nextComparison }

    /// The oldest attempt, unless the pause goes on.
    mutating func takeDue(at now: Moment) -> Attempt? {
        guard !waiting.isEmpty, now >= nextComparison else { return nil }
        return waiting.removeFirst()
    }

    mutating func noteWrong(at now: Moment) {
        if let lastWrong, now - lastWrong > Self.quiet { pauses.startOver() }
        lastWrong = now
        nextComparison = now + pauses.takeNext()
    }
}
