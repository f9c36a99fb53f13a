import Configuration
import FreezeCore
import FreezerProtocol
import Glibc
import Hooks
import LinuxCalls
import Logging
import Synchronization
import SystemPackage
import Testing

@testable import Coordinator
@testable import LinuxSystem

/// A coordinator without its thread: a test performs effects, and reads the resulting messages from the mailbox. The
/// freezer is a fake, and freezes nothing.
final class CoordinatorBench {
    private static let patience = Duration.seconds(20)
    static let request = RequestID("00c0ffee00c0ffee")
    static let work = WorkID(number: 7)

    let coordinator: Coordinator
    let channel = RecordingChannel()
    let observer = RecordingObserver()
    let publisher = RecordingPublisher()
    let freezer: FakeFreezer
    let notes = RecordedNotes()
    /// The file in the place of the kernel's setting for RCU.
    let setting: FilePath
    /// On a tmpfs, for the run directory.
    private let memory: ScratchTree
    /// For executable programs and trusted hooks.
    private let programs: ScratchTree
    private var received: [CoordinatorMessage] = []

    /// After a recovery that has found nothing.
    init(_ change: (inout Configuration) throws -> Void = { _ in }) throws {
        memory = try ScratchTree(below: "/dev/shm")
        programs = try ScratchTree(below: "/run")
        freezer = try FakeFreezer(in: programs.path)
        var configuration = Configuration()
        configuration.paths.run = memory.path.appending("run")
        configuration.paths.state = memory.path.appending("state")
        configuration.hooks.directory = programs.path
        configuration.freeze.expeditedRCU = .off
        try change(&configuration)
        var paths = SystemPaths.live
        paths.sysfs = memory.path
        setting = memory.path.appending("kernel/rcu_expedited")
        #expect(mkdir(memory.path.appending("kernel").string, 0o700) == 0)
        let file = try FileDescriptor.open(
            setting, .writeOnly, options: [.create, .closeOnExec], permissions: .ownerReadWrite)
        try file.closeAfter { _ = try file.writeAll("0\n".utf8) }
        let notes = notes
        let logger = Logger(label: "test") { _ in RecordingHandler(notes: notes) }
        coordinator = try Coordinator(
            configuration: configuration, freezerExecutable: freezer.executable, logger: logger, isLogFile: false,
            publisher: publisher, paths: paths)
        coordinator.add(channel)
        coordinator.add(observer: observer)
        coordinator.handle(.recovered(nil))
    }

    deinit {
        coordinator.freezer.kill()
    }

    func perform(_ effects: RequestEffect...) {
        coordinator.perform(effects)
    }

    // MARK: Messages

    /// The first message that matches. Earlier messages are dropped.
    func wait<Found>(for what: String, _ pick: (CoordinatorMessage) -> Found?) throws -> Found {
        let deadline = Moment.now + Self.patience
        while true {
            while !received.isEmpty {
                if let found = pick(received.removeFirst()) { return found }
            }
            let isTime = Moment.now < deadline
            try #require(isTime, "\(what) did not come")
            _ = pollOne(coordinator.mailbox.wakeUp.descriptor, events: .readable, atMost: .milliseconds(100))
            received += coordinator.mailbox.takeAll()
        }
    }

    func waitForEvent(_ what: String, _ isMeant: (RequestEvent) -> Bool) throws {
        _ = try wait(for: what) { message -> Bool? in
            if case .event(let event) = message, isMeant(event) { true } else { nil }
        }
    }

    func hookRun() throws -> HookRun {
        try wait(for: "the end of the hook") { message in
            if case .event(.hookFinished(Self.work, let run)) = message { run } else { nil }
        }
    }

    /// All posted messages.
    var messages: [CoordinatorMessage] {
        received += coordinator.mailbox.takeAll()
        return received
    }

    func eventually(_ what: String, _ isTrue: () -> Bool) throws {
        let deadline = Moment.now + Self.patience
        while !isTrue() {
            let isTime = Moment.now < deadline
            try #require(isTime, "\(what) did not come true")
            usleep(5000)
        }
    }

    // MARK: The freezer

    func startFreezer() throws {
        perform(.startFreezer)
        let message = try wait(for: "the freezer's process") { message in
            if case .freezerStarted = message { message } else { nil }
        }
        coordinator.receive(message)
        try waitUntilFreezerIsReady()
    }

    func waitUntilFreezerIsReady() throws {
        try eventually("that the freezer is ready") {
            coordinator.receiveFreezerNews()
            return coordinator.machine.isFreezerReady
        }
    }

    // MARK: A request

    /// A request with two directories on a tmpfs in the place of filesystems to freeze, and one to flush.
    @discardableResult
    func open(hooks: [Hook] = []) throws -> OpenedRequest {
        let actions: [FilesystemAction] = [.freeze, .freeze, .sync]
        let filesystems = actions.enumerated().map { index, action in
            PlannedFilesystem(
                device: Self.device(index),
                mount: MountEntry(
                    mountID: UInt64(index), parentID: 0, device: Self.device(index), root: "/",
                    mountPoint: FilePath("/srv/\(index)"), mountOptions: "rw", filesystemType: "ext4",
                    source: "none", superblockOptions: "rw"),
                action: action, reason: "", step: action == .freeze ? index : nil)
        }
        let targets = try filesystems.map {
            TargetOpener.Target(
                filesystem: $0, descriptor: try openDescriptor(memory.path, .readOnly, options: .directory))
        }
        let opened = OpenedRequest(
            policy: PlanPolicy(), plan: FreezePlan(filesystems: filesystems), freezes: true,
            hooks: hooks.map { HookCandidate(hook: $0, verdict: .trusted) }, targets: targets,
            mountTables: try MountTables(.own), unreachable: [])
        var resources = ActiveResources(
            requestID: Self.request, channel: .control, options: FreezeOptions())
        resources.opened = opened
        resources.hooks = opened.hooks
        resources.mountPoints = opened.ownMountPoints
        coordinator.resources = resources
        return opened
    }

    /// With a ledger, and without a freezer.
    func openWithLedger(hooks: [Hook] = []) throws -> Ledger {
        try open(hooks: hooks)
        perform(.handOver(Self.work))
        return try #require(coordinator.resources?.ledger)
    }

    static func device(_ index: Int) -> DeviceNumber { DeviceNumber(major: 255, minor: UInt32(200 + index)) }

    func hook(_ name: String, _ script: String) throws -> Hook {
        let path = programs.path.appending(name)
        let file = try FileDescriptor.open(
            path, .writeOnly, options: [.create, .truncate, .closeOnExec], permissions: .ownerReadWriteExecute)
        try file.closeAfter { _ = try file.writeAll("#!/bin/sh\n\(script)\n".utf8) }
        return Hook(name: name, path: path, kind: HookKind(hookName: name))
    }
}

/// A directory that is removed with its contents.
private final class ScratchTree {
    let path: FilePath

    init(below parent: FilePath) throws {
        var template = Array(parent.appending("quiesce-test.XXXXXX").string.utf8CString)
        let isMade = mkdtemp(&template) != nil
        try #require(isMade)
        path = FilePath(platformString: template)
    }

    deinit {
        Self.remove(path)
    }

    private static func remove(_ path: FilePath) {
        for name in (try? directoryEntries(path)) ?? [] {
            let entry = path.appending(name)
            if unlink(entry.string) != 0 { remove(entry) }
        }
        rmdir(path.string)
    }
}

/// Records every call.
final class RecordingChannel: RequestChannel {
    let names = ["control"]
    let calls = Mutex<[String]>([])
    /// Whether the start fails.
    let isBroken = Mutex(false)
    /// Called by `stop`.
    let lastWork = Mutex<(@Sendable () -> Void)?>(nil)

    struct CannotStart: Error, CustomStringConvertible {
        let description = "no device"
    }

    private func note(_ call: String) { calls.withLock { $0.append(call) } }

    func start() throws {
        note("start")
        if isBroken.withLock({ $0 }) { throw CannotStart() }
    }

    func answer(_ operation: OperationID, _ answer: OperationAnswer, _ detail: AnswerDetail, before limit: Moment?)
    {
        note("\(operation): \(answer), \(detail.reason ?? "")")
    }

    func holdOpening() { note("holdOpening") }
    func reopen() { note("reopen") }
    func stop() {
        note("stop")
        lastWork.withLock { $0 }?()
    }
}

final class RecordingObserver: RequestObserver {
    let seen = Mutex<[RequestProgress]>([])

    func observe(_ progress: RequestProgress) { seen.withLock { $0.append(progress) } }
}

/// Records every report, and blocks in the last call until the test releases the call.
final class RecordingPublisher: StatePublisher {
    let reports = Mutex<[StateReport]>([])
    /// Whether a call waits for its cancellation.
    let waits = Mutex(false)
    let wasCancelled = Mutex(false)

    func publish(_ report: StateReport, isCancelled: @Sendable () -> Bool) -> PublicationResult {
        reports.withLock { $0.append(report) }
        while waits.withLock({ $0 }) {
            if isCancelled() {
                wasCancelled.withLock { $0 = true }
                break
            }
            usleep(1000)
        }
        return PublicationResult(isDone: true, notes: [LogNote(.warning, "of the publisher")])
    }
}

final class RecordedNotes: Sendable {
    let lines = Mutex<[String]>([])

    func contains(_ part: String) -> Bool { lines.withLock { $0.contains { $0.contains(part) } } }
}

private struct RecordingHandler: LogHandler {
    var logLevel = Logger.Level.trace
    var metadata = Logger.Metadata()
    let notes: RecordedNotes

    init(notes: RecordedNotes) { self.notes = notes }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { notes.lines.withLock { $0.append("\(event.level): \(event.message)") } }
}
