import FoundationEssentials
import FreezeCore

/// The record as a line of JSON, never longer than a bound.
extension RequestRecord {
    /// Reads a line; throws for anything that is not a whole record of a version known here.
    init(line: some Collection<UInt8>) throws {
        self = try JSONDecoder().decode(RequestRecord.self, from: Data(line))
    }

    /// The line without its newline, with sorted keys. Drops what tells least until it fits.
    func line(limit: Int = RecordLimit.line) -> [UInt8] {
        var record = self
        var line = record.encoded()
        var count = max(
            filesystems.count, hooks.count, refusedHooks.count, listedHooks.count, unreachable.count)
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
        hooks = hooks.map { run in
            let (tail, isCut) = outputTail(run.output, limit: 512)
            return HookRun(
                name: run.name, phase: run.phase, outcome: run.outcome, output: tail,
                isOutputTruncated: isCut || run.isOutputTruncated, started: run.started, duration: run.duration)
        }
        for index in filesystems.indices { filesystems[index].otherMountPoints = [] }
        refusedHooks = refusedHooks.map {
            PlannedHook(name: $0.name, refusal: $0.refusal.map { String($0.prefix(512)) })
        }
    }

    /// Keeps what failed and what took longest, in its order.
    private mutating func keep(atMost count: Int) {
        var omission = omitted ?? Omission(filesystems: 0, hooks: 0)
        let before = (filesystems.count, hooks.count)
        filesystems = filesystems.mostTelling(count) { $0.weight }
        hooks = hooks.mostTelling(count) { $0.outcome.succeeded ? $0.duration.milliseconds : .infinity }
        refusedHooks = Array(refusedHooks.prefix(count))
        unreachable = Array(unreachable.prefix(count))
        listedHooks = Array(listedHooks.prefix(count))
        omission.filesystems += before.0 - filesystems.count
        omission.hooks += before.1 - hooks.count
        omitted = omission
    }
}

extension FilesystemRecord {
    /// How much it tells: what failed, then what was frozen, the slowest first, then what was synced.
    fileprivate var weight: Double {
        if hasFailed { return .infinity }
        let spent = ([freeze, thaw].compactMap(\.self) + flushes).reduce(Duration.zero) { $0 + $1.duration }
        return switch action {
        case .freeze: 1e15 + spent.milliseconds
        case .sync: 1e12 + spent.milliseconds
        case .skip: 0
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
