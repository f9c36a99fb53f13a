import FreezeCore
import History

/// What `Status` replies.
public struct ControlStatus: Codable, Hashable, Sendable {
    public struct Filesystem: Codable, Hashable, Sendable {
        public var mountPoint: String
        /// `planned`, `freezing`, `frozen` or `thawed`.
        public var progress: String

        enum CodingKeys: String, CodingKey {
            case mountPoint = "mount_point"
            case progress
        }
    }

    /// The request that is served.
    public struct Request: Codable, Hashable, Sendable {
        public var id: String
        public var channel: String
        public var started: WallTime
        public var age: Double
        /// Why it is going to fail.
        public var failure: String?
        public var windowLeft: Double?
        /// The one that runs.
        public var hook: String?
        public var filesystems: [Filesystem]

        enum CodingKeys: String, CodingKey {
            case id, channel, started, failure, hook, filesystems
            case age = "age_ms"
            case windowLeft = "window_left_ms"
        }
    }

    public struct Channel: Codable, Hashable, Sendable {
        public var name: String
        public var state: String
        /// Whether requests can come. Absent of a daemon that does not tell.
        public var registered: Bool?
    }

    /// A channel whose next THAW will be answered with failure.
    public struct Lost: Codable, Hashable, Sendable {
        public var channel: String
        public var reason: String
    }

    /// A hook that failed at thaw: its application may be down.
    public struct Attention: Codable, Hashable, Sendable {
        public var hook: String
        public var request: String
        /// What went wrong, in a clause.
        public var problem: String
        public var since: WallTime
        public var age: Double

        enum CodingKeys: String, CodingKey {
            case hook, request, problem, since
            case age = "age_ms"
        }
    }

    /// A request of the past, in short.
    public struct Backup: Codable, Hashable, Sendable {
        public var id: String
        public var channel: String
        public var ended: WallTime
        public var age: Double
        public var result: RequestRecord.Result
        public var level: String?
        /// The hooks that did their work before the freeze. Absent if there were none.
        public var workingHooks: [String]?
        public var reason: String?
        /// Nothing was frozen, and nothing backed up. Not there for a real one.
        public var dryRun: Bool?
        /// What the request was besides a backup of the whole machine, for people. Absent for such a backup.
        public var purpose: String?

        enum CodingKeys: String, CodingKey {
            case id, channel, ended, result, level, reason, purpose
            case age = "age_ms"
            case dryRun = "dry_run"
            case workingHooks = "working_hooks"
        }
    }

    public var version: String
    public var pid: Int32
    public var started: WallTime
    public var dryRun: Bool
    public var state: ControlState
    public var since: WallTime
    public var sinceMilliseconds: Double
    public var request: Request?
    public var stuck: [String]
    /// Processes that keep filesystems stuck, as far as known.
    public var holders: [WriteHolder]?
    /// Absent if nothing needs attention.
    public var attention: [Attention]?
    public var lost: [Lost]
    public var freezerReady: Bool
    public var channels: [Channel]
    public var lastBackup: Backup?
    public var lastGoodBackup: Backup?

    enum CodingKeys: String, CodingKey {
        case version, pid, started, state, since, request, stuck, holders, attention, lost, channels
        case dryRun = "dry_run"
        case sinceMilliseconds = "since_ms"
        case freezerReady = "freezer_ready"
        case lastBackup = "last_backup"
        case lastGoodBackup = "last_good_backup"
    }
}
