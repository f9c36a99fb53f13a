import FreezeCore
import SystemPackage

/// Everything one request did, as one line of `history.jsonl`.
///
/// The keys are the ones of `CodingKeys`, and are stable: within a version keys are added, never renamed, removed or
/// given another meaning, and an unknown key is ignored. What is absent did not happen or is not known. Times of the
/// calendar are RFC 3339 UTC with milliseconds; `…_ms` are milliseconds with fraction; `offset_ms` counts from
/// `started`. Paths, names and output are escaped (octal, as in mountinfo), so that the file can be shown on a
/// terminal and a path that is not UTF-8 keeps every byte.
public struct HistoryRecord: Codable, Hashable, Sendable {
    /// The version of this shape that is written and read here.
    public static let currentVersion = 1

    public enum Result: String, Codable, Hashable, Sendable {
        case succeeded
        case failed
    }

    public var version = HistoryRecord.currentVersion
    public var id: String
    public var channel: String
    public var started: WallTime
    public var ended: WallTime
    public var duration: Double
    public var result: Result
    /// `application`, `filesystem` or `crash`; absent for a failed request.
    public var level: String?
    /// The hooks that did their work before the freeze: the level `application` rests on them. Absent if there were none.
    public var workingHooks: [String]?
    /// Why it failed; or why the level is not the highest, and what was left out of the plan.
    public var reason: String?
    /// The hooks whose call for thaw failed: their applications may be down. Absent if there were none.
    public var attention: [String]?
    /// True for a dry run: no hook was called, and no filesystem frozen.
    public var dryRun: Bool?
    /// True for a rehearsal: filesystems were frozen, but not for a backup.
    public var rehearsal: Bool?
    /// True for a request that only called hooks: another agent froze the filesystems.
    public var hooksOnly: Bool?
    /// The mount points that the request selected. Absent for the whole machine.
    public var selection: [String]?
    /// The mount point of the filesystem because of which it failed, if because of one.
    public var failedFilesystem: String?
    /// The name of the hook because of which it failed, if because of one.
    public var failedHook: String?
    /// How FREEZE was answered.
    public var freezeAnswer: FreezeAnswer?
    /// From before the first FIFREEZE to after the last FITHAW. Absent if none was issued.
    public var window: Span?
    /// Frozen ones by step and mount point, then the synced, then the skipped.
    public var filesystems: [Filesystem]
    /// Filesystems in no mount table, and therefore not frozen. Absent if there were none.
    public var unreachable: [Unreachable]?
    /// Every call, in order.
    public var hooks: [Hook]
    /// Hooks that were not run because they are not trusted.
    public var refusedHooks: [RefusedHook]
    /// In a dry run: the hooks that would have been called, in their order.
    public var listedHooks: [String]?
    /// How much was left out to keep the record bounded.
    public var omitted: Omission?

    enum CodingKeys: String, CodingKey {
        case version, id, channel, started, ended
        case duration = "duration_ms"
        case result, level, reason
        case workingHooks = "working_hooks"
        case attention
        case dryRun = "dry_run"
        case rehearsal, selection
        case hooksOnly = "hooks_only"
        case failedFilesystem = "failed_filesystem"
        case failedHook = "failed_hook"
        case freezeAnswer = "freeze_answer"
        case window, filesystems, unreachable, hooks
        case refusedHooks = "refused_hooks"
        case listedHooks = "listed_hooks"
        case omitted
    }

    /// Success was told to whoever asked, and the window failed afterwards: what was taken in it is not to be trusted.
    public var isLost: Bool { result == .failed && freezeAnswer?.success == true && !isDryRun }

    public var isDryRun: Bool { dryRun == true }

    /// True for a backup of the whole machine that can be relied on, at its level.
    public var isGoodBackup: Bool { result == .succeeded && purpose == nil }

    /// What the request was besides a backup of the whole machine, in a few words; nil for such a backup.
    public var purpose: String? {
        let options = FreezeOptions(
            mountPoints: selection?.map { FilePath($0) }, freezes: hooksOnly != true,
            isRehearsal: rehearsal == true)
        let words = [isDryRun ? "dry run" : nil, options.purpose].compactMap(\.self)
        return words.isEmpty ? nil : words.joined(separator: ", ")
    }
}

extension HistoryRecord {
    /// The answer to FREEZE.
    public struct FreezeAnswer: Codable, Hashable, Sendable {
        public var offset: Double
        public var success: Bool

        enum CodingKeys: String, CodingKey {
            case offset = "offset_ms"
            case success
        }
    }

    /// A stretch of time.
    public struct Span: Codable, Hashable, Sendable {
        public var offset: Double
        public var duration: Double

        enum CodingKeys: String, CodingKey {
            case offset = "offset_ms"
            case duration = "duration_ms"
        }

        /// Its end, in milliseconds from the start of the request.
        public var end: Double { offset + duration }
    }

    /// What the kernel answered.
    public struct Failure: Codable, Hashable, Sendable {
        /// `EBUSY`, or `errno 524` for a number without a name.
        public var errno: String
        public var message: String
    }

    /// A flush, FIFREEZE or FITHAW that has returned.
    public struct Step: Codable, Hashable, Sendable {
        public var offset: Double
        public var duration: Double
        /// Absent for success.
        public var error: Failure?

        enum CodingKeys: String, CodingKey {
            case offset = "offset_ms"
            case duration = "duration_ms"
            case error
        }

        public var span: Span { Span(offset: offset, duration: duration) }
    }

    /// One filesystem: how it was planned, and what became of it.
    public struct Filesystem: Codable, Hashable, Sendable {
        public var mountPoint: String
        /// At most ``HistoryRecord/maximumOtherMountPoints`` of them.
        public var otherMountPoints: [String]?
        /// `major:minor`, as in mountinfo.
        public var device: String
        public var source: String
        public var type: String
        public var uuid: String?
        public var label: String?
        /// `freeze`, `sync` or `skip`.
        public var action: String
        /// Why this action.
        public var reason: String
        /// Freeze order, for the action freeze: 0 is frozen first and thawed last.
        public var step: Int?
        /// The devices of the filesystems it is stored on.
        public var storedOn: [String]?
        /// True for a sync that does not lower the level of the result.
        public var harmless: Bool?
        /// True if `include` or `exclude` left the filesystem out, which would be frozen or flushed otherwise.
        public var leftOut: Bool?
        /// In order: before the hooks, after the plain ones, and while session hooks hold, if there are any.
        public var flushes: [Step]?
        public var freeze: Step?
        public var thaw: Step?
        /// True if its FIFREEZE, or FITHAW, had not returned when the record was written.
        public var stuck: Bool?
        /// Processes asleep in a write to the filesystem. The filesystem's freeze would wait, or waits, for the
        /// processes. At most ``HistoryRecord/maximumWriteHolders``.
        public var holders: [WriteHolder]?

        enum CodingKeys: String, CodingKey {
            case mountPoint = "mount_point"
            case otherMountPoints = "other_mount_points"
            case device, source, type, uuid, label, action, reason
            case step = "level"
            case storedOn = "stored_on"
            case leftOut = "left_out"
            case harmless, flushes, freeze, thaw, stuck, holders
        }

        /// Something of it went wrong.
        public var hasFailed: Bool {
            stuck == true || holders != nil || freeze?.error != nil || thaw?.error != nil
                || (flushes ?? []).contains { $0.error != nil }
        }
    }

    /// A filesystem without a path.
    public struct Unreachable: Codable, Hashable, Sendable {
        /// The name of the kernel's driver.
        public var type: String
        public var source: String
        /// The numbers of the block devices, `major:minor`.
        public var devices: [String]
        public var uuid: String?
        public var label: String?
    }

    /// A process asleep inside a write.
    public struct WriteHolder: Codable, Hashable, Sendable {
        public var pid: Int32
        public var command: String
        public var uid: UInt32
        /// Absent if the kernel does not show the path.
        public var file: String?
        /// How to end the process, as a sentence.
        public var remedy: String
    }

    /// One call of a hook.
    public struct Hook: Hashable, Sendable {
        public var name: String
        /// `freeze` or `thaw`.
        public var phase: String
        public var offset: Double
        public var duration: Double
        public var outcome: HookOutcome
        /// The end of the hook's output. Absent if there was none.
        public var output: String?
        /// True if the output was longer.
        public var outputTruncated: Bool?

        public var succeeded: Bool { outcome.succeeded }
        public var span: Span { Span(offset: offset, duration: duration) }
    }

    /// A hook that was not run.
    public struct RefusedHook: Codable, Hashable, Sendable {
        public var name: String
        public var reason: String
    }

    /// What a bounded record leaves out.
    public struct Omission: Codable, Hashable, Sendable {
        public var filesystems: Int
        public var hooks: Int
    }
}
