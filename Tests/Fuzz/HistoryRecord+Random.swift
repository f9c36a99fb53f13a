import FreezeCore

@testable import History

extension HistoryRecord {
    private static let texts = [
        "", "20261121T103645-1", "hyperv", "/srv", "10-orders", "ü🧊", "a \"b\" \\040", "\u{1B}[2J", "l1\nl2\t",
        "freeze",
    ]

    /// Any record there might be.
    static func random(_ random: inout SplitMix64) -> HistoryRecord {
        let start = time(&random)
        var record = HistoryRecord(
            id: text(&random), channel: text(&random), started: start, ended: time(&random),
            duration: number(&random), result: random.oneIn(2) ? .succeeded : .failed,
            filesystems: random.list(atMost: 4) { filesystem(&$0) }, hooks: random.list(atMost: 3) { hook(&$0) },
            refusedHooks: random.list(atMost: 1) { RefusedHook(name: text(&$0), reason: text(&$0)) })
        record.level = random.maybe { $0.one(of: ["application", "filesystem", "crash", "other"]) }
        record.reason = random.maybe { text(&$0) }
        record.dryRun = random.maybe { $0.oneIn(2) }
        record.failedFilesystem = random.maybe { text(&$0) }
        record.failedHook = random.maybe { text(&$0) }
        record.freezeAnswer = random.maybe { FreezeAnswer(offset: number(&$0), success: $0.oneIn(2)) }
        record.window = random.maybe { Span(offset: number(&$0), duration: number(&$0)) }
        record.listedHooks = random.maybe { $0.list(atMost: 3) { text(&$0) } }
        record.omitted = random.maybe { Omission(filesystems: $0.below(99), hooks: $0.below(99)) }
        return record
    }

    private static func filesystem(_ random: inout SplitMix64) -> Filesystem {
        Filesystem(
            mountPoint: text(&random), otherMountPoints: random.maybe { $0.list(atMost: 3) { text(&$0) } },
            device: "8:1", source: text(&random), type: text(&random), uuid: random.maybe { text(&$0) },
            label: random.maybe { text(&$0) }, action: random.one(of: ["freeze", "sync", "skip", "other"]),
            reason: text(&random), step: random.maybe { Int($0.oddNumber()) },
            storedOn: random.maybe { $0.list(atMost: 2) { text(&$0) } }, harmless: random.maybe { $0.oneIn(2) },
            flushes: random.maybe { $0.list(atMost: 3) { step(&$0) } }, freeze: random.maybe { step(&$0) },
            thaw: random.maybe { step(&$0) }, stuck: random.maybe { $0.oneIn(2) })
    }

    private static func hook(_ random: inout SplitMix64) -> Hook {
        Hook(
            name: text(&random), phase: random.one(of: ["freeze", "thaw", ""]), offset: number(&random),
            duration: number(&random),
            outcome: outcome(&random), output: random.maybe { text(&$0) },
            outputTruncated: random.maybe { $0.oneIn(2) })
    }

    private static func outcome(_ random: inout SplitMix64) -> HookOutcome {
        let number = Int32(truncatingIfNeeded: random.oddNumber())
        let reason = text(&random)
        return random.one(of: [
            .exited(status: number), .skipped(reason: ""), .ready, .neverReady(timedOut: random.oneIn(2)),
            .signalled(signal: number), .timedOut(abandoned: random.oneIn(2)), .notStarted(reason: reason),
        ])
    }

    private static func step(_ random: inout SplitMix64) -> Step {
        Step(
            offset: number(&random), duration: number(&random),
            error: random.maybe { Failure(errno: "EBUSY", message: text(&$0)) })
    }

    private static func text(_ random: inout SplitMix64) -> String {
        let text = random.one(of: texts)
        return random.oneIn(5000) ? String(repeating: text, count: 1000) : text
    }

    private static func number(_ random: inout SplitMix64) -> Double {
        switch random.below(8) {
        case 0: Double(random.oddNumber())
        case 1:
            random.one(of: [1e300, -1e300, .greatestFiniteMagnitude, .leastNonzeroMagnitude, -0.0, 1e18, 1e19])
        default: Double(random.below(10_000_000)) / 1000
        }
    }

    private static let clock = WallClock(
        moment: Moment(nanoseconds: 0), wallTime: WallTime(milliseconds: 1_795_257_465_123))

    /// From the year 0 to the year 9999.
    private static func time(_ random: inout SplitMix64) -> WallTime {
        let span: UInt64 = 315_537_897_600_000
        return random.oneIn(4)
            ? WallTime(milliseconds: Int64(random.next() % span) - 62_135_596_800_000)
            : clock.wallTime(of: Moment(nanoseconds: Int64(truncatingIfNeeded: random.next()) >> 16))
    }
}
