import FoundationEssentials

/// The record as a line of JSON, never longer than a bound.
extension HistoryRecord {
    /// No line is longer, whatever the request was: 1 MiB.
    public static let maximumLineLength = 1 << 20

    struct UnknownVersion: Error {}

    /// Reads a line; throws for anything that is not a whole record of a version known here.
    init(line: some Collection<UInt8>) throws {
        self = try JSONDecoder().decode(HistoryRecord.self, from: Data(line))
        guard version == Self.currentVersion else { throw UnknownVersion() }
    }

    /// The line without its newline, with sorted keys. Drops what tells least until it fits.
    func line(limit: Int = maximumLineLength) -> [UInt8] {
        var record = self
        var line = record.encoded()
        var count = max(
            filesystems.count, hooks.count, refusedHooks.count, listedHooks?.count ?? 0, unreachable?.count ?? 0)
        guard line.count > limit else { return line }
        record.cutLongTexts()
        line = record.encoded()
        while line.count > limit, count > 0 {
            // A first guess, then halves.
            count = min(count / 2, Int(Double(count) * 1.5 * Double(limit) / Double(line.count)))
            record.keep(atMost: count)
            line = record.encoded()
        }
        return line
    }

    private func encoded() -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        // The shape has neither non-finite numbers (they come from Duration) nor keys that can clash: nothing throws.
        return (try? encoder.encode(self)).map(Array.init) ?? []
    }

    private mutating func cutLongTexts() {
        for index in hooks.indices {
            guard let output = hooks[index].output else { continue }
            let (tail, isCut) = outputTail(output, limit: 512)
            hooks[index].output = tail
            if isCut { hooks[index].outputTruncated = true }
        }
        for index in filesystems.indices { filesystems[index].otherMountPoints = nil }
        for index in refusedHooks.indices {
            refusedHooks[index].reason = String(refusedHooks[index].reason.prefix(512))
        }
    }

    /// Keeps what failed and what took longest, in its order.
    private mutating func keep(atMost count: Int) {
        var omission = omitted ?? Omission(filesystems: 0, hooks: 0)
        let before = (filesystems.count, hooks.count)
        filesystems = filesystems.mostTelling(count) { $0.weight }
        hooks = hooks.mostTelling(count) { $0.succeeded ? $0.duration : .infinity }
        refusedHooks = Array(refusedHooks.prefix(count))
        unreachable = unreachable.map { Array($0.prefix(count)) }
        listedHooks = listedHooks.map { Array($0.prefix(count)) }
        omission.filesystems += before.0 - filesystems.count
        omission.hooks += before.1 - hooks.count
        omitted = omission
    }
}

extension HistoryRecord.Filesystem {
    /// How much it tells: what failed, then what was frozen, the slowest first, then what was synced.
    fileprivate var weight: Double {
        if hasFailed { return .infinity }
        let spent =
            (freeze?.duration ?? 0) + (thaw?.duration ?? 0) + (flushes ?? []).reduce(0) { $0 + $1.duration }
        return switch action {
        case "freeze": 1e15 + spent
        case "sync": 1e12 + spent
        default: 0
        }
    }
}

extension Array {
    /// At most `count` elements, the ones with the greatest weight, in their order; of equals the first.
    func mostTelling(_ count: Int, by weight: (Element) -> Double) -> [Element] {
        guard self.count > count else { return self }
        let heaviest = enumerated().map { (index: $0.offset, weight: weight($0.element)) }
            .sorted { ($0.weight, $1.index) > ($1.weight, $0.index) }
        return heaviest.prefix(count).map(\.index).sorted().map { self[$0] }
    }
}
