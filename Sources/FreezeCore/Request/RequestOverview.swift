import SystemPackage

/// Where the request state machine is, for `status`.
public struct RequestOverview: Hashable, Sendable {
    /// One filesystem to freeze, and how far it is.
    public struct Target: Hashable, Sendable {
        public let mountPoint: FilePath
        public let progress: TargetProgress
    }

    public let state: RequestState
    /// When this state was entered.
    public let since: Moment
    public let request: RequestID?
    public let channel: ChannelID?
    /// When the request came.
    public let started: Moment?
    /// Why the request is going to fail.
    public let failure: String?
    /// When the freezer thaws, whatever else happens; nil while nothing is frozen.
    public let windowDeadline: Moment?
    public let runningHook: String?
    public let targets: [Target]
    public let isDryRun: Bool
    /// Mount points whose FIFREEZE hangs in the kernel: STUCK.
    public let stuck: [FilePath]
    /// Processes that keep filesystems stuck, as far as known.
    public let holders: [WriteHolder]
    public let attention: [Attention]
    /// Channels whose next THAW is answered with failure, and why: LOST.
    public let lost: [ChannelID: String]
}

extension RequestMachine {
    public var overview: RequestOverview {
        RequestOverview(
            state: state, since: stateSince, request: request?.id, channel: request?.channel,
            started: request?.record.started, failure: request?.failure,
            windowDeadline: isWindowOpen ? request?.windowDeadline : nil,
            runningHook: runningHook,
            targets: zip(request?.targets ?? [], request?.progress ?? []).map { target, progress in
                RequestOverview.Target(mountPoint: target.mountPoint, progress: progress)
            }, isDryRun: policy.isDryRun, stuck: stuckMountPoints, holders: holders,
            attention: attention, lost: lostChannels)
    }

    /// The hook that is waited for; of several that are released at once, the first.
    private var runningHook: String? {
        let awaited =
            state == .releasing ? request?.sessionsHeld.first.map { HookReference.planned(index: $0) } : nil
        return (request?.runningHook ?? awaited).map(hookName)
    }

    func hookName(_ hook: HookReference) -> String {
        switch hook {
        case .planned(let index): request?.planned?.hooks[index].name ?? "?"
        case .leftover(let hook): hook.name
        }
    }
}
