import FreezeCore
import LinuxCalls
import SystemPackage

extension HistoryRecord {
    /// Of a filesystem's other mount points this many are kept: containers make thousands of bind mounts.
    public static let maximumOtherMountPoints = 8
    /// Of each call's output the last 4 KiB are kept: the reason for a failure stands at the end.
    public static let maximumOutputLength = 4096
    static let maximumReasonLength = 4096
    public static let maximumWriteHolders = 8
    /// Of the mount points that a request selected.
    public static let maximumSelection = 100
    /// Of names in a list of hooks.
    public static let maximumWorkingHooks = 100

    /// Makes the record that is kept of a request.
    public init(_ record: RequestRecord, clock: WallClock) {
        let start = record.started
        id = escapedControlCharacters(record.id.text)
        channel = escapedControlCharacters(record.channel.name)
        started = clock.wallTime(of: start)
        ended = clock.wallTime(of: record.ended)
        duration = roundedMilliseconds(record.ended - start)
        result = record.result == .succeeded ? .succeeded : .failed
        level = record.level?.rawValue
        reason = record.reason.map { String(escapedControlCharacters($0).prefix(Self.maximumReasonLength)) }
        dryRun = record.isDryRun ? true : nil
        rehearsal = record.options.isRehearsal ? true : nil
        hooksOnly = record.options.freezes ? nil : true
        selection = record.options.mountPoints?.prefix(Self.maximumSelection).map(\.escaped)
        switch record.subject {
        case .filesystem(let mountPoint): failedFilesystem = mountPoint.escaped
        case .hook(let name): failedHook = escapedControlCharacters(name)
        case nil: break
        }
        listedHooks = record.isDryRun ? record.listedHooks.map { escapedControlCharacters($0) } : nil
        freezeAnswer = record.answered.map {
            FreezeAnswer(offset: roundedMilliseconds($0 - start), success: record.isAnsweredWithSuccess)
        }
        window = record.windowOpened.map { opened in
            Span(from: opened, lasting: (record.windowClosed ?? record.ended) - opened, in: start)
        }
        filesystems = record.filesystems.map { Filesystem($0, start: start) }
        unreachable = record.unreachable.isEmpty ? nil : record.unreachable.map(Unreachable.init)
        let failedThaws = record.attention.prefix(Self.maximumWorkingHooks).map { escapedControlCharacters($0) }
        attention = failedThaws.isEmpty ? nil : failedThaws
        let working = record.workingHooks.prefix(Self.maximumWorkingHooks).map { escapedControlCharacters($0) }
        workingHooks = working.isEmpty ? nil : working
        hooks = record.hooks.map { Hook($0, start: start) }
        refusedHooks = record.refusedHooks.map {
            RefusedHook(
                name: escapedControlCharacters($0.name),
                reason: escapedControlCharacters($0.refusal ?? "not trusted"))
        }
    }
}

extension HistoryRecord.Span {
    fileprivate init(from moment: Moment, lasting duration: Duration, in start: Moment) {
        self.init(offset: roundedMilliseconds(moment - start), duration: roundedMilliseconds(duration))
    }
}

extension HistoryRecord.Failure {
    fileprivate init(_ error: Errno) {
        self.init(errno: error.symbolicName, message: error.description)
    }
}

extension HistoryRecord.Step {
    fileprivate init(_ result: TimedResult, start: Moment) {
        self.init(
            offset: roundedMilliseconds(result.started - start), duration: roundedMilliseconds(result.duration),
            error: result.error.map(HistoryRecord.Failure.init))
    }

    fileprivate init(_ result: FlushResult, start: Moment) {
        self.init(
            offset: roundedMilliseconds(result.started - start), duration: roundedMilliseconds(result.duration),
            error: result.error.map(HistoryRecord.Failure.init))
    }
}

extension HistoryRecord.Filesystem {
    fileprivate init(_ record: FilesystemRecord, start: Moment) {
        let planned = record.planned
        let others = planned.otherMountPoints.prefix(HistoryRecord.maximumOtherMountPoints).map(\.escaped)
        mountPoint = planned.mountPoint.escaped
        otherMountPoints = others.isEmpty ? nil : others
        device = planned.device.description
        source = escapedControlCharacters(planned.mount.source)
        type = escapedControlCharacters(planned.mount.filesystemType)
        uuid = planned.identity.uuid.map(escapedControlCharacters)
        label = planned.identity.label.map(escapedControlCharacters)
        action = planned.action.rawValue
        reason = escapedControlCharacters(planned.reason)
        step = planned.step
        storedOn = planned.storedOn.isEmpty ? nil : planned.storedOn.map(\.description)
        harmless = planned.isHarmless ? true : nil
        leftOut = planned.isLeftOut ? true : nil
        flushes = record.flushes.isEmpty ? nil : record.flushes.map { HistoryRecord.Step($0, start: start) }
        freeze = record.freeze.map { HistoryRecord.Step($0, start: start) }
        thaw = record.thaw.map { HistoryRecord.Step($0, start: start) }
        stuck = record.isStuck ? true : nil
        let first = record.holders.prefix(HistoryRecord.maximumWriteHolders)
        holders = first.isEmpty ? nil : first.map(HistoryRecord.WriteHolder.init)
    }
}

extension HistoryRecord.WriteHolder {
    fileprivate init(_ holder: WriteHolder) {
        pid = holder.processID
        command = escapedControlCharacters(holder.command)
        uid = holder.userID
        file = holder.file?.escaped
        remedy = holder.remedy
    }
}

extension HistoryRecord.Unreachable {
    fileprivate init(_ filesystem: UnreachableFilesystem) {
        type = escapedControlCharacters(filesystem.type)
        source = escapedControlCharacters(filesystem.source)
        devices = filesystem.devices.map(\.description)
        uuid = filesystem.identity.uuid.map(escapedControlCharacters)
        label = filesystem.identity.label.map(escapedControlCharacters)
    }
}

extension HistoryRecord.Hook {
    /// - Parameter start: of the request.
    public init(_ run: HookRun, start: Moment) {
        name = escapedControlCharacters(run.name)
        phase = run.phase.rawValue
        offset = roundedMilliseconds(run.started - start)
        duration = roundedMilliseconds(run.duration)
        outcome =
            switch run.outcome {
            // The reason is in the record's reason, and in the output.
            case .skipped: .skipped(reason: "")
            case .notStarted(let reason): .notStarted(reason: escapedControlCharacters(reason))
            default: run.outcome
            }
        let (kept, isCut) = outputTail(run.output, limit: HistoryRecord.maximumOutputLength)
        output = kept.isEmpty ? nil : kept
        outputTruncated = isCut || run.isOutputTruncated ? true : nil
    }
}

/// The last part of what a hook wrote, its lines escaped, in at most `limit` bytes of UTF-8.
func outputTail(_ output: String, limit: Int) -> (text: String, isCut: Bool) {
    // Escaping only lengthens, so nothing before this can be kept. A scalar that is cut becomes a mark of its own.
    let raw = String(decoding: output.utf8.suffix(limit), as: UTF8.self)
    let lines = raw.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
    let escaped = lines.map { line in
        line.split(separator: "\t", omittingEmptySubsequences: false).map(escapedControlCharacters)
            .joined(separator: "\t")
    }.joined(separator: "\n")
    guard escaped.utf8.count > limit || output.utf8.count > limit else { return (escaped, false) }
    // The first line is most likely a part of one: it begins at the next whole character.
    var tail = escaped.utf8.suffix(limit)
    while let first = tail.first, first & 0xC0 == 0x80 { tail = tail.dropFirst() }
    return (String(decoding: tail, as: UTF8.self), true)
}

/// Milliseconds, to the microsecond: more digits are noise, and make the line long.
func roundedMilliseconds(_ duration: Duration) -> Double {
    (duration.milliseconds * 1000).rounded() / 1000
}
