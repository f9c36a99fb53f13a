import FreezeCore
import SystemPackage

/// What a hook is told about the request it is called for.
public struct HookContext: Hashable, Sendable {
    /// How the request went, as far as the hooks called for thaw are concerned.
    public enum Result: String, Hashable, Sendable {
        case ok
        case failed
    }

    public let requestID: RequestID
    /// Where the request came from.
    public let channel: ChannelID
    public let phase: HookPhase
    /// Nil for freeze.
    public let result: Result?
    /// How good the backup is, as far as it is known: what is aimed at in freeze, what was reached in thaw.
    public let level: ConsistencyLevel?
    /// What is about to be frozen, or was thawed, in freeze order.
    public let mountPoints: [FilePath]
    /// How long this call may take. The caller has taken the smaller of the hook's own and what is left of the
    /// total.
    public let timeout: Duration

    public init(
        requestID: RequestID, channel: ChannelID, phase: HookPhase, result: Result?, level: ConsistencyLevel?,
        mountPoints: [FilePath], timeout: Duration
    ) {
        self.requestID = requestID
        self.channel = channel
        self.phase = phase
        self.result = result
        self.level = level
        self.mountPoints = mountPoints
        self.timeout = timeout
    }

    /// The whole environment but for the mount points, one `NAME=value` each. Nothing of the daemon's own gets in.
    ///
    /// - Parameter argument: The hook's.
    func environment(argument: String) -> [String] {
        var environment = [
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            // As root's cron jobs have them. Not looked up: a lookup may ask the network.
            "HOME=/root",
            "USER=root",
            "LOGNAME=root",
            "SHELL=/bin/sh",
            "QUIESCE_PHASE=\(argument)",
            "QUIESCE_REQUEST_ID=\(requestID.text)",
            "QUIESCE_CHANNEL=\(channel.name)",
            // Whole seconds for a shell's arithmetic; rounded down, so that it never promises more than there
            // is, but 0 would read as "no limit".
            "QUIESCE_TIMEOUT_SECONDS=\(max(1, timeout.components.seconds))",
        ]
        if let level { environment.append("QUIESCE_LEVEL=\(level.rawValue)") }
        if phase == .thaw, let result { environment.append("QUIESCE_RESULT=\(result.rawValue)") }
        return environment
    }

    /// One mount point a line, escaped so that what decodes mountinfo decodes this: see `FilePath.escaped`.
    var escapedMountPoints: [UInt8] {
        Array(mountPoints.map(\.escaped).joined(separator: "\n").utf8)
    }
}
