import FreezeCore
import SystemPackage

/// A record as one line of `history.jsonl`, and as the control socket sends it.
///
/// The keys are stable: within a version keys are added, never renamed, removed or given another meaning, and an unknown
/// key is ignored. An absent member did not happen or is not known. Times of the calendar are RFC 3339 UTC with
/// milliseconds; `…_ms` are milliseconds with fraction; `offset_ms` counts from `started`. Paths, names and output are
/// escaped (octal, as in mountinfo), so that the file can be shown on a terminal and a path that is not UTF-8 keeps every
/// byte. docs/control-socket.md describes every key.
extension RequestRecord: Codable {
    /// The version that is written and read here.
    public static let currentVersion = 1

    struct UnknownVersion: Error {}

    private enum CodingKeys: String, CodingKey {
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

    private enum OffsetKeys: String, CodingKey {
        case offset = "offset_ms"
        case duration = "duration_ms"
        case success
    }

    private enum RefusedHookKeys: String, CodingKey {
        case name, reason
    }

    // MARK: Writing

    public func encode(to encoder: any Encoder) throws {
        var members = encoder.container(keyedBy: CodingKeys.self)
        try members.encode(Self.currentVersion, forKey: .version)
        try members.encode(escapedControlCharacters(id.text), forKey: .id)
        try members.encode(escapedControlCharacters(channel.name), forKey: .channel)
        try members.encode(clock.wallTime, forKey: .started)
        try members.encode(endedWallTime, forKey: .ended)
        try members.encode(roundedMilliseconds(duration), forKey: .duration)
        try members.encode(result, forKey: .result)
        try members.encodeIfPresent(level?.rawValue, forKey: .level)
        let text = reason.map { String(escapedControlCharacters($0).prefix(RecordLimit.reason)) }
        try members.encodeIfPresent(text, forKey: .reason)
        try members.encodeUnlessEmpty(names(workingHooks), forKey: .workingHooks)
        try members.encodeUnlessEmpty(names(attention), forKey: .attention)
        try members.encodeIfTrue(isDryRun, forKey: .dryRun)
        try members.encodeIfTrue(options.isRehearsal, forKey: .rehearsal)
        try members.encodeIfTrue(!options.freezes, forKey: .hooksOnly)
        let selection = options.mountPoints?.prefix(RecordLimit.selection).map(\.escaped)
        try members.encodeIfPresent(selection, forKey: .selection)
        switch subject {
        case .filesystem(let mountPoint): try members.encode(mountPoint.escaped, forKey: .failedFilesystem)
        case .hook(let name): try members.encode(escapedControlCharacters(name), forKey: .failedHook)
        case nil: break
        }
        try encodeWindow(to: &members)
        try members.encode(filesystems, forKey: .filesystems, since: started)
        if !unreachable.isEmpty { try members.encode(unreachable, forKey: .unreachable) }
        try members.encode(hooks, forKey: .hooks, since: started)
        try encodeRefusedHooks(to: &members)
        if isDryRun { try members.encode(listedHooks.map { escapedControlCharacters($0) }, forKey: .listedHooks) }
        try members.encodeIfPresent(omitted, forKey: .omitted)
    }

    private func names(_ hooks: [String]) -> [String] {
        hooks.prefix(RecordLimit.hookNames).map { escapedControlCharacters($0) }
    }

    private func encodeWindow(to members: inout KeyedEncodingContainer<CodingKeys>) throws {
        if let answered {
            var answer = members.nestedContainer(keyedBy: OffsetKeys.self, forKey: .freezeAnswer)
            try answer.encode(roundedMilliseconds(answered - started), forKey: .offset)
            try answer.encode(isAnsweredWithSuccess, forKey: .success)
        }
        if let windowOpened, let window {
            var span = members.nestedContainer(keyedBy: OffsetKeys.self, forKey: .window)
            try span.encode(roundedMilliseconds(windowOpened - started), forKey: .offset)
            try span.encode(roundedMilliseconds(window), forKey: .duration)
        }
    }

    private func encodeRefusedHooks(to members: inout KeyedEncodingContainer<CodingKeys>) throws {
        var list = members.nestedUnkeyedContainer(forKey: .refusedHooks)
        for hook in refusedHooks {
            var item = list.nestedContainer(keyedBy: RefusedHookKeys.self)
            try item.encode(escapedControlCharacters(hook.name), forKey: .name)
            try item.encode(escapedControlCharacters(hook.refusal ?? "not trusted"), forKey: .reason)
        }
    }

    // MARK: Reading

    public init(from decoder: any Decoder) throws {
        let members = try decoder.container(keyedBy: CodingKeys.self)
        guard try members.decode(Int.self, forKey: .version) == Self.currentVersion else { throw UnknownVersion() }
        let start = Moment(nanoseconds: 0)
        self.init(
            id: RequestID(try members.decode(String.self, forKey: .id)),
            channel: ChannelID(name: try members.decode(String.self, forKey: .channel)),
            clock: WallClock(moment: start, wallTime: try members.decode(WallTime.self, forKey: .started)))
        ended = start + (try members.decodeDuration(forKey: .duration))
        result = try members.decode(Result.self, forKey: .result)
        level = try members.decodeIfPresent(String.self, forKey: .level).flatMap { ConsistencyLevel(rawValue: $0) }
        reason = try members.decodeIfPresent(String.self, forKey: .reason)
        workingHooks = try members.decodeIfPresent([String].self, forKey: .workingHooks) ?? []
        attention = try members.decodeIfPresent([String].self, forKey: .attention) ?? []
        isDryRun = try members.decodeFlag(forKey: .dryRun)
        options = FreezeOptions(
            mountPoints: try members.decodePaths(forKey: .selection),
            freezes: try !members.decodeFlag(forKey: .hooksOnly),
            isRehearsal: try members.decodeFlag(forKey: .rehearsal))
        if let mountPoint = try members.decodePath(forKey: .failedFilesystem) {
            subject = .filesystem(mountPoint)
        } else if let name = try members.decodeIfPresent(String.self, forKey: .failedHook) {
            subject = .hook(name)
        }
        try decodeWindow(from: members)
        filesystems = try members.decode([FilesystemRecord].self, forKey: .filesystems, since: start)
        unreachable = try members.decodeIfPresent([UnreachableFilesystem].self, forKey: .unreachable) ?? []
        hooks = try members.decode([HookRun].self, forKey: .hooks, since: start)
        try decodeRefusedHooks(from: members)
        listedHooks = try members.decodeIfPresent([String].self, forKey: .listedHooks) ?? []
        omitted = try members.decodeIfPresent(Omission.self, forKey: .omitted)
    }

    private mutating func decodeWindow(from members: KeyedDecodingContainer<CodingKeys>) throws {
        if members.has(.freezeAnswer) {
            let answer = try members.nestedContainer(keyedBy: OffsetKeys.self, forKey: .freezeAnswer)
            answered = started + (try answer.decodeDuration(forKey: .offset))
            isAnsweredWithSuccess = try answer.decode(Bool.self, forKey: .success)
        }
        if members.has(.window) {
            let span = try members.nestedContainer(keyedBy: OffsetKeys.self, forKey: .window)
            let opened = started + (try span.decodeDuration(forKey: .offset))
            (windowOpened, windowClosed) = (opened, opened + (try span.decodeDuration(forKey: .duration)))
        }
    }

    private mutating func decodeRefusedHooks(from members: KeyedDecodingContainer<CodingKeys>) throws {
        var list = try members.nestedUnkeyedContainer(forKey: .refusedHooks)
        while !list.isAtEnd {
            let item = try list.nestedContainer(keyedBy: RefusedHookKeys.self)
            refusedHooks.append(
                PlannedHook(
                    name: try item.decode(String.self, forKey: .name),
                    refusal: try item.decode(String.self, forKey: .reason)))
        }
    }
}

extension RequestRecord.Result: Codable {}

/// The limits of one record.
public enum RecordLimit {
    /// Of a filesystem's other mount points: containers make thousands of bind mounts.
    public static let otherMountPoints = 8
    /// Bytes of each call's output, from the end of the output, which has the reason for a failure.
    public static let output = 4096
    /// Characters.
    public static let reason = 4096
    public static let writeHolders = 8
    /// Of the mount points that a request selected.
    public static let selection = 100
    /// Of names in a list of hooks.
    public static let hookNames = 100
    /// Bytes of a line, whatever the request was: 1 MiB.
    public static let line = 1 << 20
}
