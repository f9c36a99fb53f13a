import FreezeCore
import SystemPackage

@testable import History

extension RequestRecord {
    private static let texts = [
        "", "20261121T103645-1", "hyperv", "/srv", "10-orders", "ü🧊", "a \"b\" \\040", "\u{1B}[2J", "l1\nl2\t",
        "freeze",
    ]

    /// Any record there might be. Its moments count from FREEZE, as in a record from a file.
    static func random(_ random: inout SplitMix64) -> RequestRecord {
        var record = RequestRecord(
            id: RequestID(text(&random)), channel: ChannelID(name: text(&random)),
            clock: WallClock(moment: Moment(nanoseconds: 0), wallTime: time(&random)))
        record.ended = moment(&random)
        record.result = random.oneIn(2) ? .succeeded : .failed
        record.level = random.maybe { $0.one(of: ConsistencyLevel.allCases) }
        record.reason = random.maybe { text(&$0) }
        record.isDryRun = random.oneIn(4)
        record.options = FreezeOptions(
            mountPoints: random.maybe { $0.list(atMost: 3) { path(&$0) } }, freezes: !random.oneIn(4),
            isRehearsal: random.oneIn(4))
        record.subject = random.maybe { $0.oneIn(2) ? .filesystem(path(&$0)) : .hook(text(&$0)) }
        record.answered = random.maybe { moment(&$0) }
        record.isAnsweredWithSuccess = random.oneIn(2)
        record.windowOpened = random.maybe { moment(&$0) }
        record.windowClosed = random.maybe { moment(&$0) }
        record.filesystems = random.list(atMost: 4) { filesystem(&$0) }
        record.unreachable = random.list(atMost: 1) { unreachable(&$0) }
        record.hooks = random.list(atMost: 3) { hook(&$0) }
        record.refusedHooks = random.list(atMost: 1) { PlannedHook(name: text(&$0), refusal: text(&$0)) }
        record.workingHooks = random.list(atMost: 2) { text(&$0) }
        record.attention = random.list(atMost: 2) { text(&$0) }
        record.listedHooks = random.list(atMost: 3) { text(&$0) }
        record.omitted = random.maybe { Omission(filesystems: $0.below(99), hooks: $0.below(99)) }
        return record
    }

    private static func filesystem(_ random: inout SplitMix64) -> FilesystemRecord {
        var filesystem = FilesystemRecord(
            device: device(&random), mountPoint: path(&random), source: text(&random), type: text(&random),
            action: random.one(of: FilesystemAction.allCases), reason: text(&random))
        filesystem.otherMountPoints = random.list(atMost: 3) { path(&$0) }
        filesystem.identity.uuid = random.maybe { text(&$0) }
        filesystem.identity.label = random.maybe { text(&$0) }
        filesystem.step = random.maybe { Int($0.oddNumber()) }
        filesystem.storedOn = random.list(atMost: 2) { device(&$0) }
        filesystem.isHarmless = random.oneIn(2)
        filesystem.isLeftOut = random.oneIn(2)
        filesystem.flushes = random.list(atMost: 3) { result(&$0) }
        filesystem.freeze = random.maybe { result(&$0) }
        filesystem.thaw = random.maybe { result(&$0) }
        filesystem.isStuck = random.oneIn(2)
        filesystem.holders = random.list(atMost: 1) { holder(&$0) }
        return filesystem
    }

    private static func holder(_ random: inout SplitMix64) -> WriteHolder {
        WriteHolder(
            processID: Int32(random.below(1 << 22)), command: text(&random), userID: UInt32(random.below(1 << 16)),
            file: random.maybe { path(&$0) }, mountPoint: nil, remedy: "Run `kill 1`.", write: nil)
    }

    private static func unreachable(_ random: inout SplitMix64) -> UnreachableFilesystem {
        var filesystem = UnreachableFilesystem(
            type: text(&random), source: text(&random), devices: random.list(atMost: 2) { device(&$0) }, life: nil)
        filesystem.identity.uuid = random.maybe { text(&$0) }
        return filesystem
    }

    private static func hook(_ random: inout SplitMix64) -> HookRun {
        HookRun(
            name: text(&random), phase: random.one(of: HookPhase.allCases), outcome: outcome(&random),
            output: random.maybe { text(&$0) } ?? "", isOutputTruncated: random.oneIn(2), started: moment(&random),
            duration: duration(&random))
    }

    private static func outcome(_ random: inout SplitMix64) -> HookOutcome {
        let number = Int32(truncatingIfNeeded: random.oddNumber())
        let reason = text(&random)
        return random.one(of: [
            .exited(status: number), .skipped(reason: ""), .ready, .neverReady(timedOut: random.oneIn(2)),
            .signalled(signal: number), .timedOut(abandoned: random.oneIn(2)), .notStarted(reason: reason),
        ])
    }

    private static func result(_ random: inout SplitMix64) -> TimedResult {
        let started = moment(&random)
        let error = random.maybe { Errno(rawValue: $0.one(of: [5, 16, 524, 95])) }
        return TimedResult(error: error, started: started, ended: started + duration(&random))
    }

    private static func device(_ random: inout SplitMix64) -> DeviceNumber {
        DeviceNumber(major: UInt32(random.below(300)), minor: UInt32(truncatingIfNeeded: random.next()))
    }

    private static func path(_ random: inout SplitMix64) -> FilePath {
        random.one(of: ["/", "/srv", "/mnt/a b", "/mnt/ü\u{1B}", "/a\\040b", "/l1\nl2"])
    }

    private static func text(_ random: inout SplitMix64) -> String {
        let text = random.one(of: texts)
        return random.oneIn(5000) ? String(repeating: text, count: 1000) : text
    }

    /// Whole microseconds, as in the file; up to the longest that a reader takes.
    private static func duration(_ random: inout SplitMix64) -> Duration {
        switch random.below(8) {
        case 0: random.one(of: [.milliseconds(Int64(1_000_000_000_000)), .zero, .microseconds(1)])
        default: .microseconds(Int64(random.below(10_000_000_000)))
        }
    }

    private static func moment(_ random: inout SplitMix64) -> Moment {
        Moment(nanoseconds: 0) + duration(&random)
    }

    /// From the year 0 to the year 9000.
    private static func time(_ random: inout SplitMix64) -> WallTime {
        let span: UInt64 = 284_000_000_000_000
        return WallTime(milliseconds: Int64(random.next() % span) - 62_135_596_800_000)
    }
}
