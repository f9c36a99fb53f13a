extension SplitMix64 {
    /// Numbers for one input of a run: any input can be made without those before it.
    init(seed: UInt64, input: Int) {
        var mixer = SplitMix64(seed: seed)
        self.init(seed: mixer.next() ^ UInt64(input) &* 0x9E37_79B9_7F4A_7C15)
    }

    /// Numbers that depend on an input alone, for what is decided while it is fed.
    init(of bytes: [UInt8]) {
        // FNV-1a
        self.init(seed: bytes.reduce(0xCBF2_9CE4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 })
    }

    mutating func byte() -> UInt8 { UInt8(truncatingIfNeeded: next()) }

    /// One of them; there has to be one.
    mutating func one<Element>(of choices: [Element]) -> Element {
        choices[below(choices.count)]
    }

    mutating func bytes(_ count: Int) -> [UInt8] {
        (0..<count).map { _ in byte() }
    }

    /// As many as the number says, each made anew.
    mutating func list<Element>(atMost limit: Int, _ make: (inout SplitMix64) -> Element) -> [Element] {
        var list: [Element] = []
        for _ in 0..<below(limit + 1) { list.append(make(&self)) }
        return list
    }

    /// Sometimes nothing.
    mutating func maybe<Element>(_ make: (inout SplitMix64) -> Element) -> Element? {
        oneIn(2) ? make(&self) : nil
    }

    /// A number that is small, or near a limit of some type.
    mutating func oddNumber() -> Int64 {
        switch below(4) {
        case 0: Int64(below(10))
        case 1: Int64(truncatingIfNeeded: next())
        case 2: one(of: [.max, .min, -1, 1 << 31, 1 << 32, 1 << 53, 1 << 62, 255, 256, 65_536])
        default: Int64(below(100_000))
        }
    }

    /// Pieces that make up the whole.
    mutating func cut(_ bytes: [UInt8], atMost longest: Int) -> [[UInt8]] {
        var pieces: [[UInt8]] = []
        var start = 0
        while start < bytes.count {
            let end = min(bytes.count, start + 1 + below(longest))
            pieces.append(Array(bytes[start..<end]))
            start = end
        }
        return pieces
    }
}
