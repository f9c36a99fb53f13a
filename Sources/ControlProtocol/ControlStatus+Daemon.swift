import FreezeCore
import History

extension ControlStatus {
    /// - Parameters:
    ///   - clock: Of now.
    ///   - pid: The daemon's.
    public init(_ status: DaemonStatus, version: String, pid: Int32, clock: WallClock) {
        let overview = status.overview
        self.version = version
        self.pid = pid
        started = clock.wallTime(of: status.started)
        dryRun = overview.isDryRun
        state = ControlState(overview.state)
        since = clock.wallTime(of: overview.since)
        sinceMilliseconds = (clock.moment - overview.since).milliseconds
        request = Request(overview, clock: clock)
        stuck = overview.stuck.map(\.escaped)
        holders = overview.holders.isEmpty ? nil : overview.holders
        attention = overview.attention.isEmpty ? nil : overview.attention.map { Attention($0, clock: clock) }
        lost = overview.lost.map { Lost(channel: $0.key.name, reason: $0.value) }.sorted {
            $0.channel < $1.channel
        }
        freezerReady = status.isFreezerReady
        channels = status.channels.map { Channel(name: $0.name, state: $0.state, registered: $0.isRegistered) }
        lastBackup = status.last.map { Backup($0, clock: clock) }
        lastGoodBackup = status.lastGood.map { Backup($0, clock: clock) }
    }
}

extension ControlStatus.Attention {
    fileprivate init(_ attention: Attention, clock: WallClock) {
        hook = escapedControlCharacters(attention.hook)
        request = attention.request.text
        problem = escapedControlCharacters(attention.problem)
        since = clock.wallTime(of: attention.since)
        age = (clock.moment - attention.since).milliseconds
    }
}

extension ControlStatus.Request {
    /// Nil where no request is served.
    fileprivate init?(_ overview: RequestOverview, clock: WallClock) {
        guard let request = overview.request, let channel = overview.channel, let began = overview.started else {
            return nil
        }
        id = request.text
        self.channel = channel.name
        started = clock.wallTime(of: began)
        age = (clock.moment - began).milliseconds
        failure = overview.failure
        windowLeft = overview.windowDeadline.map { max(($0 - clock.moment).milliseconds, 0) }
        hook = overview.runningHook.map { escapedControlCharacters($0) }
        filesystems = overview.targets.map {
            ControlStatus.Filesystem(mountPoint: $0.mountPoint.escaped, progress: $0.progress.rawValue)
        }
    }
}

extension ControlStatus.Backup {
    fileprivate init(_ record: RequestRecord, clock: WallClock) {
        id = escapedControlCharacters(record.id.text)
        channel = escapedControlCharacters(record.channel.name)
        ended = record.endedWallTime
        age = (clock.moment - record.ended).milliseconds
        result = record.result
        level = record.level?.rawValue
        let hooks = record.workingHooks.prefix(RecordLimit.hookNames).map { escapedControlCharacters($0) }
        workingHooks = hooks.isEmpty ? nil : hooks
        reason = record.reason.map { String(escapedControlCharacters($0).prefix(RecordLimit.reason)) }
        dryRun = record.isDryRun ? true : nil
        purpose = record.purpose
    }
}
