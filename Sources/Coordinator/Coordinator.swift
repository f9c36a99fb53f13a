import Configuration
import FreezeCore
import FreezerProtocol
import Glibc
import History
import Hooks
import LinuxCalls
import LinuxSystem
import Logging
import SystemPackage

/// Drives the request state machine: brings it what happens, and does what it wants done.
///
/// Everything here runs on one thread that never blocks: what may block has a thread of its own and answers through
/// the mailbox. `+Messages` takes what comes in; `+Effects` hands the machine's effects to `+Recovery`, `+Preparing`,
/// `+Window` and `+Ending`, which do them in the order in which a request meets them.
public final class Coordinator: @unchecked Sendable {
    // Confined to the coordinator's thread, but for the mailbox and the writers, which take care of themselves.
    let configuration: Configuration
    let planPolicy: PlanPolicy
    let hookSources: HookSources
    let runDirectory: RunDirectory
    let hookRunner: HookRunner
    let logger: Logger
    private let isLogFile: Bool
    let mailbox: Mailbox
    let logQueue: BackgroundQueue
    let historyQueue: BackgroundQueue
    /// Nil if the state is not published.
    let publishing: Publishing?
    let history: HistoryFile
    let attentionFile: AttentionFile
    let assessment = Assessment()
    let me = ProcessIdentity.current
    /// Nil if it is not wanted, or cannot be had.
    let expeditedRCU: ExpeditedRCU?
    var channels: [any RequestChannel] = []
    /// How the channels are doing, by name.
    var channelStates: [String: DaemonStatus.Channel] = [:]
    /// The observers of requests.
    var observers: [any RequestObserver] = []
    /// The observer of heartbeats, and the time of the next heartbeat.
    var lifeObserver: (any LifeObserver)?
    var nextHeartbeat: Moment?
    /// The last requests, for `status`.
    var last: RequestRecord?
    var lastGood: RequestRecord?
    /// The last requests, for the publisher.
    var recentRequests = RecentRequests()
    let started = Moment.now
    private let usualPriority = ThreadPriority.current
    private var isInWindow = false
    private var hold = BackgroundQueue.Hold.nothing
    var freezer: FreezerSupervisor
    var machine: RequestMachine
    var resources: ActiveResources?
    /// The ledger of the previous instance, kept open until the thaw of its last filesystem.
    var leftoverLedger: Ledger?
    var isDone = false
    private let lock: FileDescriptor

    /// - Parameters:
    ///   - isLogFile: Whether the logger writes to a file, possibly on a frozen filesystem.
    ///   - publisher: Publishes the state to the host.
    /// - Throws: `CoordinatorError` if this machine cannot be served: not root, a bad run directory, no freezer.
    public init(
        configuration: Configuration, freezerExecutable: FilePath, isDryRun: Bool = false, logger: Logger,
        isLogFile: Bool, publisher: (any StatePublisher)? = nil, paths: SystemPaths = .live
    ) throws(CoordinatorError) {
        // Before the first system call that would be refused: its error would not name the cause.
        guard geteuid() == 0 else { throw .notRoot }
        self.configuration = configuration
        self.logger = logger
        self.isLogFile = isLogFile
        do {
            planPolicy = PlanPolicy(configuration)
            hookSources = HookSources(configuration)
            runDirectory = try RunDirectory(configuration.paths.run, creating: true)
            lock = try runDirectory.lock()
            hookRunner = HookRunner(runDirectory: runDirectory.path)
            runDirectory.removeUnfinishedLedger()
            hookRunner.removeLeftovers()
            mailbox = try Mailbox()
            logQueue = try BackgroundQueue("log") { [logger] dropped in
                logger.warning("\(dropped) log records were dropped: writing the log took too long")
            }
            historyQueue = try BackgroundQueue("history") { [mailbox] dropped in
                mailbox.post(
                    .note(LogNote(.error, "\(dropped) records were not written to the history: it hangs")))
            }
            publishing = try publisher.map { publisher throws(Errno) in try Publishing(publisher) }
        } catch {
            throw CoordinatorError(error)
        }
        history = HistoryFile(inStateDirectory: configuration.paths.state, heldIn: runDirectory.path)
        attentionFile = AttentionFile(
            inStateDirectory: configuration.paths.state, heldIn: runDirectory.path)
        expeditedRCU = configuration.freeze.expeditedRCU == .on ? ExpeditedRCU(paths: paths) : nil
        freezer = FreezerSupervisor(executable: freezerExecutable, mailbox: mailbox)
        var policy = RequestPolicy(configuration)
        policy.isDryRun = isDryRun
        policy.publishesState = publisher != nil
        machine = RequestMachine(policy: policy, lost: runDirectory.lostChannels)
    }

    /// Adds a channel before `run`. The coordinator's thread receives the events of the channel.
    public func add(_ channel: any RequestChannel) {
        channels.append(channel)
    }

    /// Adds an observer of the progress of requests, before `run`.
    public func add(observer: any RequestObserver) {
        observers.append(observer)
    }

    /// Adds the observer of heartbeats, before `run`.
    public func add(lifeObserver: any LifeObserver) {
        self.lifeObserver = lifeObserver
        nextHeartbeat = lifeObserver.heartbeatInterval.map { _ in Moment.now }
    }

    /// The way in for a channel's events; never blocks.
    public var delivery: @Sendable (ChannelID, ChannelEvent) -> Void {
        let mailbox = mailbox
        return { channel, event in mailbox.post(.channel(channel, event)) }
    }

    /// Ends the request in progress as failed, everything thawed and its hooks called, and then `run`.
    public func stop(reason: String) {
        mailbox.post(.shutdown(reason: reason))
    }

    // MARK: The thread

    /// Serves until `stop`. Blocks: give it a thread of its own.
    public func run() {
        lifeObserver?.isStarting()
        setHold(holdWanted)
        readLastRequests()
        perform(machine.start(at: .current()))
        while !isDone {
            waitForWork()
            for message in mailbox.takeAll() { receive(message) }
            receiveFreezerNews()
            if let deadline = machine.nextDeadline, Moment.now >= deadline { timePassed() }
            showLife()
        }
        stopChannels()
        freezer.disconnect()
        finishWriting()
    }

    /// Until its end, a channel can report a failure that reached no client. The next instance repeats it (P3).
    func stopChannels() {
        for channel in channels { channel.stop() }
        for case .channel(let channel, .thawUndelivered(let reason)) in mailbox.takeAll() {
            handle(.thawUndelivered(channel, reason: reason))
        }
    }

    /// Bounded: a history or log on a hanging filesystem must not keep the service from stopping.
    private func finishWriting() {
        _ = historyQueue.drain(atMost: .seconds(5))
        if !machine.mayFileWriteHang { _ = publishing?.queue.drain(atMost: .seconds(2)) }
        if !isLogFile || !machine.mayFileWriteHang { _ = logQueue.drain(atMost: .seconds(5)) }
    }

    private func waitForWork() {
        let interests: InlineArray<2, (descriptor: FileDescriptor?, events: PollEvents)> = [
            (mailbox.wakeUp.descriptor, .readable), (freezer.descriptor, .readable),
        ]
        _ = pollDescriptors(
            interests,
            until: [machine.nextDeadline, nextHeartbeat, mailbox.nextDue].compactMap(\.self).min())
    }

    private func showLife() {
        guard let due = nextHeartbeat, let interval = lifeObserver?.heartbeatInterval, Moment.now >= due else {
            return
        }
        lifeObserver?.isAlive()
        nextHeartbeat = Moment.now + interval
    }

    func handle(_ event: RequestEvent) {
        if case .shutdown = event {
            lifeObserver?.isStopping()
            nextHeartbeat = lifeObserver?.heartbeatInterval.map { Moment.now + $0 }
        }
        let before = machine.state
        let effects = machine.handle(event, at: Moment.now)
        let state = machine.state
        if state != before { StopPoint.reach("entering \(state.rawValue)") }
        // Held before the first effect of a window, released after the last one.
        let isWindowOpen = machine.isWindowOpen
        let holdWanted = holdWanted
        setHold(max(hold, holdWanted))
        if isWindowOpen { setInWindow(true) }
        perform(effects)
        if !isWindowOpen { setInWindow(false) }
        setHold(holdWanted)
        if state != before { StopPoint.reach("in \(state.rawValue)") }
    }

    /// In the window writers wait for this thread.
    private func setInWindow(_ isInWindow: Bool) {
        guard isInWindow != self.isInWindow else { return }
        self.isInWindow = isInWindow
        ThreadPriority.set(isInWindow ? ThreadPriority.raised : usualPriority)
    }

    /// The jobs not to begin now (P7).
    private var holdWanted: BackgroundQueue.Hold {
        machine.isWindowOpen ? .everything : machine.mayFileWriteHang ? .writes : .nothing
    }

    private func setHold(_ hold: BackgroundQueue.Hold) {
        guard hold != self.hold else { return }
        self.hold = hold
        historyQueue.set(hold)
        publishing?.queue.set(hold)
        // The journal's socket is on no disk. SIGKILL ends a wait for another log that is no file.
        logQueue.set(hold == .writes && !isLogFile ? .nothing : hold)
        if hold == .nothing { writeHeldRecords() }
    }

    // MARK: Words

    /// For the log, when nothing is frozen.
    func log(_ note: LogNote) {
        let logger = logger
        logQueue.add(.writes) {
            logger.log(level: Logger.Level(note.level), "\(note.line)", metadata: note.metadata)
        }
    }
}

extension LogNote {
    /// A message may quote what a hook wrote, or a name in the filesystem: it becomes one line that no terminal obeys,
    /// and no longer than a line of a log can be.
    fileprivate var line: String {
        let limit = 4096
        let line = escapedControlCharacters(message.prefix(limit))
        return message.count > limit ? line + "…" : line
    }

    fileprivate var metadata: Logger.Metadata {
        Dictionary(uniqueKeysWithValues: fields.map { ($0.rawValue, .string($1)) })
    }
}

extension Logger.Level {
    fileprivate init(_ level: LogNote.Level) {
        switch level {
        case .debug: self = .debug
        case .info: self = .info
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}
