import Coordinator
import FreezeCore

/// What a recovery by hand did, for programs. The keys are stable: they are added to, never renamed or given another
/// meaning.
struct RecoveryDocument: Encodable {
    struct Filesystem: Encodable {
        let mountPoint: String
        /// Whether it is not frozen any more.
        let thawed: Bool
        /// In words, with its mount point.
        let statement: String

        private enum CodingKeys: String, CodingKey {
            case mountPoint = "mount_point"
            case thawed, statement
        }
    }

    /// There was no request to recover.
    static let nothing = RecoveryDocument(
        requestID: nil, ownerAlive: false, thawed: true, filesystems: [], hooksOwedThaw: [])

    /// Null if there was none.
    let requestID: String?
    /// Whether the daemon that froze lives, and its window was ended by force.
    let ownerAlive: Bool
    /// Whether nothing of the request is frozen any more.
    let thawed: Bool
    let filesystems: [Filesystem]
    let hooksOwedThaw: [String]

    private enum CodingKeys: String, CodingKey {
        case requestID = "request_id"
        case ownerAlive = "owner_alive"
        case thawed, filesystems
        case hooksOwedThaw = "hooks_owed_thaw"
    }

    func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        // Written as null, too: a key that is always there is easier to rely on.
        try container.encode(requestID, forKey: .requestID)
        try container.encode(ownerAlive, forKey: .ownerAlive)
        try container.encode(thawed, forKey: .thawed)
        try container.encode(filesystems, forKey: .filesystems)
        try container.encode(hooksOwedThaw, forKey: .hooksOwedThaw)
    }
}

extension RecoveryDocument {
    init(_ result: RecoveryResult, isOwnerAlive: Bool) {
        self.init(
            requestID: escapedControlCharacters(result.requestID.text), ownerAlive: isOwnerAlive,
            thawed: result.isEverythingThawed,
            filesystems: result.lines.map { line in
                Filesystem(
                    mountPoint: line.mountPoint.escaped,
                    thawed: line.outcome.isSettled && line.outcome != .replaced, statement: "\(line)")
            }, hooksOwedThaw: result.hooksOwedThaw.map { escapedControlCharacters($0) })
    }
}
