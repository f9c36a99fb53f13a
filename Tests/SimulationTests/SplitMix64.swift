/// A small seeded generator: the same seed gives the same schedule on every machine (Steele, Lea and Flood, 2014).
struct SplitMix64 {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// A number from zero to below the limit.
    mutating func below(_ limit: Int) -> Int {
        Int(next() % UInt64(limit))
    }

    /// Whether one of so many chances came.
    mutating func oneIn(_ count: Int) -> Bool {
        next() % UInt64(count) == 0
    }

    /// A span of simulated time, in nanoseconds.
    mutating func milliseconds(_ least: Int, _ most: Int) -> Int64 {
        let span = UInt64(most - least) * 1_000_000 + 1
        return Int64(least) * 1_000_000 + Int64(next() % span)
    }
}
