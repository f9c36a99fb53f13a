/// The interface of the control socket, in the words of varlink.org. Within version 1 members, and values of
/// enumerations, are added, and never renamed, removed or given another meaning. A change that would break a caller
/// gets the name `org.quiesce.Control2`.
public enum ControlInterface {
    public static let name = "org.quiesce.Control1"

    /// A method of the interface.
    public enum Method: String, Sendable, Hashable, CaseIterable {
        case status = "Status"
        case freeze = "Freeze"
        case thaw = "Thaw"
        case acknowledge = "Acknowledge"
        case history = "History"
        case monitor = "Monitor"
        case authenticate = "Authenticate"

        /// As it is called.
        public var qualifiedName: String { "\(ControlInterface.name).\(rawValue)" }

        public init?(qualifiedName: String) {
            guard let method = Self.allCases.first(where: { $0.qualifiedName == qualifiedName }) else {
                return nil
            }
            self = method
        }
    }

    /// What `org.varlink.service.GetInterfaceDescription` returns.
    public static let description = """
        # quiesce: live backups of this machine. Times of the calendar are RFC 3339 in UTC with milliseconds; `…_ms`
        # are milliseconds. Names of files are escaped as in mountinfo (\\040). Members, and values of enumerations, can be
        # added: ignore unknown ones.
        interface org.quiesce.Control1

        # What quiesced is doing. `recovering`: thawing filesystems that the previous instance left frozen. `rehearsing`: a
        # dry run that has answered FREEZE. `holding`: hooks hold their applications for another agent, which freezes. In
        # `frozen` and the states around it filesystems stand still.
        type State (recovering, idle, planning, flushing, freeze_hooks, flushing_again, checking, session_hooks,
          flushing_last, freezing, verifying, frozen, rehearsing, holding, thawing, releasing, thaw_hooks, stopped)

        # How far one filesystem of the request is.
        type Filesystem (mount_point: string, progress: (planned, freezing, frozen, thawed))

        # The request that is served. `failure`: why it is going to fail. `window_left_ms`: until everything is thawed,
        # whatever else happens. `hook`: the one that runs.
        type Request (id: string, channel: string, started: string, age_ms: float, failure: ?string,
          window_left_ms: ?float, hook: ?string, filesystems: []Filesystem)

        # A way in for requests. `state` is for people. `registered`: requests can come.
        type Channel (name: string, state: string, registered: ?bool)

        # A channel whose next THAW will be answered with failure.
        type Lost (channel: string, reason: string)

        # A process that sleeps inside a write and keeps the freeze of a stuck filesystem hanging. `remedy` is for people.
        type Holder (mount_point: ?string, pid: int, command: string, uid: int, file: ?string, remedy: string)

        # A hook that failed at thaw: its application may be down. `problem` is for people.
        type Attention (hook: string, request: string, problem: string, since: string, age_ms: float)

        # A request of the past, in short. With `dry_run` nothing was frozen. `purpose`: what the request was besides a
        # backup of the whole machine (for people). `working_hooks` did their work before the freeze: the level
        # `application` rests on them.
        type Backup (id: string, channel: string, ended: string, age_ms: float, result: (succeeded, failed),
          level: ?string, working_hooks: ?[]string, reason: ?string, dry_run: ?bool, purpose: ?string)

        # Something that a request got to. Which members are there depends on `kind`. `skipped`: the hook had no work.
        type Event (time: string, request: ?string, channel: ?string,
          kind: (state, planned, flushed, hook_started, hook_ended, froze, thawed, failed, finished),
          state: ?State, mount_point: ?string, hook: ?string, phase: ?(freeze, thaw), duration_ms: ?float,
          problem: ?string, skipped: ?bool, freeze: ?int, sync: ?int, skip: ?int, hooks: ?[]string, record: ?object)

        # Answers at any moment, frozen or not.
        method Status() -> (version: string, pid: int, started: string, dry_run: bool, state: State, since: string,
          since_ms: float, request: ?Request, stuck: []string, holders: ?[]Holder, attention: ?[]Attention, lost: []Lost,
          freezer_ready: bool, channels: []Channel, last_backup: ?Backup, last_good_backup: ?Backup)

        # Freezes. Answered when everything is frozen, or nothing is. The window ends with Thaw, or at
        # `window_left_ms`. With `hold` it also ends when the caller's connection does, and is the caller's alone.
        # `mount_points`: freeze only the named filesystems. `hooks: false`: call no hooks. `freeze: false`: only call hooks,
        # for another agent that freezes. `window_ms`: a window shorter than freeze.max_window. `rehearsal`: never count as
        # a good backup. `filesystems`: how many are frozen. `reason`: why the level is not the highest, and what was
        # left out of the plan.
        method Freeze(hold: ?bool, mount_points: ?[]string, hooks: ?bool, freeze: ?bool, window_ms: ?float,
          rehearsal: ?bool) -> (request: string, window_left_ms: float, dry_run: bool, filesystems: ?int, reason: ?string)

        # Thaws what Freeze froze, and with `force` whatever is frozen: then its owner's backup is lost. With `request`
        # only that one; if it is over, the answer is ConsistencyLost. `failure`: why the caller has no snapshot; the
        # request is on record as failed then. `hooks_only`: thaws a request with `freeze: false`, and no other.
        method Thaw(force: ?bool, request: ?string, failure: ?string, hooks_only: ?bool)
          -> (request: ?string, dry_run: bool, reason: ?string)

        # What needs attention has been seen by an admin: `hooks`.
        method Acknowledge() -> (hooks: []string)

        # Past requests, the newest first, as in history.jsonl. While anything is frozen the answer waits.
        method History(limit: ?int) -> (records: []object)

        # With `more`: every Event from now on. The first reply has none: it says that the subscription stands.
        method Monitor() -> (event: ?Event)

        # Shows, on a vsock connection, that the caller knows the token in vsock.token_file. Once for each connection, before
        # every other call. The answer may wait, because tokens are compared one by one, with a pause after a wrong one.
        # The third wrong token ends the connection.
        method Authenticate(token: string) -> ()

        # Another request is served.
        error Busy (request: ?string, reason: string)
        # It was tried and did not succeed. Nothing is left frozen but what `Status` calls stuck.
        error Failed (request: ?string, reason: string)
        # The window had ended early: what was taken in it may be torn.
        error ConsistencyLost (request: ?string, reason: string)
        # The request is another's: Thaw needs `force`.
        error NotOwner (request: ?string, reason: string)
        # There is nothing to thaw.
        error NothingFrozen (request: ?string, reason: string)
        # The caller may not do this over vsock.
        error PermissionDenied (request: ?string, reason: string)

        """
}
