/// The growing pauses between attempts to open a device.
struct RetryPauses {
    private let first: Duration
    private let longest: Duration
    private var next: Duration

    /// Each pause is twice the pause before, up to the longest.
    init(first: Duration, longest: Duration) {
        self.first = first
        self.longest = longest
        next = min(first, longest)
    }

    mutating func takeNext() -> Duration {
        defer { next = min(next * 2, longest) }
        return next
    }

    mutating func startOver() {
        next = min(first, longest)
    }
}
