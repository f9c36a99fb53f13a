extension Duration {
    /// Milliseconds that came over a socket: any number at all, where `milliseconds(_:)` would trap. Clamped to 31 years.
    init(toldMilliseconds milliseconds: Double) {
        self = .milliseconds(milliseconds.isNaN ? 0 : min(max(milliseconds, -1e12), 1e12))
    }
}
