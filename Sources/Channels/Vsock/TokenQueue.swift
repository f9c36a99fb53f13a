import FreezeCore

/// The queue of tokens to compare: one after the other, with a growing pause after a wrong token. The pauses bound the
/// number of tried tokens over all connections, and a client with the right token waits only for the tokens before.
struct TokenQueue<Attempt> {
    /// With 16 connections, the last token waits for at most 16 of these pauses.
    static var longestPause: Duration { .seconds(2) }
    private static var firstPause: Duration { .milliseconds(250) }
    /// The time without a wrong token after which the pauses start over.
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

    /// The time of the next comparison; nil if no token waits.
    var due: Moment? { waiting.isEmpty ? nil : nextComparison }

    /// Removes the oldest attempt; nil in a pause, or without an attempt.
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
