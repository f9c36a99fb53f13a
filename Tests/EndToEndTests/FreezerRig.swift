import Foundation
import FreezeCore
import FreezerProtocol
import LinuxCalls
import Synchronization
import SystemPackage

/// The freezer without a daemon: its process, commanded over its socket by the test. Killed with its object.
final class FreezerRig {
    private static let count = Atomic(0)

    let process: ProcessHandle
    let runDirectory: RunDirectory
    private(set) var ledger: Ledger?
    /// Everything it has reported so far.
    private(set) var reports: [FreezerNews] = []
    private var request = FreezerRequestID.none
    private var socket: PacketSocket?
    private var hasEnded = false

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// Starts it and waits until it is ready.
    ///
    /// - Parameter launcher: a program with its arguments that executes what follows.
    init(launcher: [String] = []) throws {
        try ScratchWorld.require()
        let number = Self.count.add(1, ordering: .relaxed).newValue
        runDirectory = try RunDirectory(FilePath("/run/freezer-rig-\(number)"), creating: true)
        let (near, far) = try PacketSocket.pair()
        defer { try? far.close() }
        let handle = try Self.start(launcher + [ScratchWorld.programs.appending("quiesce-freezer").string], far)
        process = handle
        socket = near
        try wait(for: .ready)
    }

    /// Starts on a thread that lives as long as the freezer: the end of the thread means the death of the daemon.
    private static func start(_ arguments: [String], _ connection: FileDescriptor) throws -> ProcessHandle {
        let started = Monitor<Result<ProcessHandle, Failure>?>(nil)
        try OperatingSystemThread.start("freezer rig") {
            let result = spawn(arguments, connection)
            started.update { $0 = result }
            if case .success(let handle) = result {
                _ = pollDescriptors([(handle.descriptor, .readable)], until: nil)
            }
        }
        guard let result = started.wait(until: .now + .seconds(10), { $0 }) else {
            throw Failure(description: "\(arguments): not started within 10 s")
        }
        return try result.get()
    }

    private static func spawn(
        _ arguments: [String], _ connection: FileDescriptor
    ) -> Result<ProcessHandle, Failure> {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, connection.rawValue, 0)
        // The test's threads may have signals blocked: nothing of that is to be inherited.
        var attributes = posix_spawnattr_t()
        var noSignals = sigset_t()
        sigemptyset(&noSignals)
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        posix_spawnattr_setsigmask(&attributes, &noSignals)
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK))
        var pointers = arguments.map { strdup($0) } + [nil]
        var environment: [UnsafeMutablePointer<CChar>?] = [nil]
        defer { for pointer in pointers { free(pointer) } }
        var started = pid_t()
        let error = posix_spawnp(&started, arguments[0], &actions, &attributes, &pointers, &environment)
        guard error == 0, let identity = ProcessIdentity(of: started), let handle = ProcessHandle(identity) else {
            return .failure(Failure(description: "\(arguments): \(Errno(rawValue: error))"))
        }
        return .success(handle)
    }

    deinit {
        guard !hasEnded else { return }
        try? process.send(signal: SIGKILL)
        var status: CInt = 0
        if process.waitForEnd(atMost: .seconds(5)) { waitpid(process.identity.processID, &status, 0) }
    }

    // MARK: Commands

    /// Gives it the filesystems, each with its step, in the ledger's order.
    @discardableResult
    func prepare(_ targets: [(descriptor: FileDescriptor, step: Int)]) throws -> Ledger {
        let (ledger, descriptor) = try runDirectory.createLedger(
            LedgerContents(
                requestID: "rig", channel: "rig", daemon: .current,
                superblocks: targets.enumerated().map { index, target in
                    .init(
                        device: DeviceNumber(major: 7, minor: UInt32(index)),
                        mountPoint: FilePath("/mnt/\(index)"),
                        step: target.step)
                }, hooks: []))
        defer { try? descriptor.close() }
        self.ledger = ledger
        request = FreezerRequestID(number: request.number + 1)
        try send(.prepare(request, superblockCount: targets.count), [descriptor])
        var first = 0
        while first < targets.count {
            let some = targets[first...].prefix(PacketSocket.maximumDescriptors).map(\.descriptor)
            try send(.descriptors(firstIndex: first), some)
            first += some.count
        }
        try wait(for: .prepared)
        return ledger
    }

    /// Orders a step frozen, and waits for so many good results.
    @discardableResult
    func freeze(
        step: Int, awaiting expected: Int = 1, timeout: Duration = .seconds(10), window: Duration = .seconds(40)
    ) throws -> (freezeDeadline: Moment, windowDeadline: Moment) {
        let now = Moment.now
        let deadlines = (freezeDeadline: now + timeout, windowDeadline: now + window)
        try send(
            .freeze(
                step: step, freezeDeadline: deadlines.freezeDeadline, windowDeadline: deadlines.windowDeadline))
        for _ in 0..<expected {
            let report = try next()
            guard case .froze(_, nil, _, _) = report else { throw Failure(description: "not frozen: \(report)") }
        }
        return deadlines
    }

    func send(_ command: FreezerCommand, _ descriptors: [FileDescriptor] = []) throws {
        try send(packet: command.packet, descriptors)
    }

    func send(packet: [UInt8], _ descriptors: [FileDescriptor] = []) throws {
        try socket?.send(packet, descriptors: descriptors)
    }

    /// Closes the daemon's end, as its death does.
    func hangUp() { socket = nil }

    // MARK: Reports

    func next(within limit: Duration = .seconds(10)) throws -> FreezerNews {
        guard let socket else { throw Failure(description: "hung up") }
        guard !pollOne(socket.descriptor, events: .readable, atMost: limit).isEmpty else {
            throw Failure(description: "no report within \(limit) after \(reports.suffix(5))")
        }
        guard let packet = try socket.receive()?.packet, let report = FreezerReport(packet: packet) else {
            throw Failure(description: "the freezer is gone, or talks nonsense, after \(reports.suffix(5))")
        }
        // Every report names the request that it is about.
        guard report.request == request || report.news == .ready else {
            throw Failure(description: "\(report) is not of \(request)")
        }
        reports.append(report.news)
        return report.news
    }

    func wait(for expected: FreezerNews, within limit: Duration = .seconds(10)) throws {
        let deadline = Moment.now + limit
        while try next(within: deadline - Moment.now) != expected {}
    }

    /// How the FITHAW of this superblock ended.
    func waitForThaw(of index: Int, within limit: Duration = .seconds(10)) throws -> TimedResult {
        let deadline = Moment.now + limit
        while true {
            if case .thawed(index, let error, let started, let ended) = try next(within: deadline - Moment.now) {
                return TimedResult(error: error, started: started, ended: ended)
            }
        }
    }

    /// How it ended, and how long that took.
    func waitForExit(within limit: Duration = .seconds(10)) throws -> (status: CInt, after: Duration) {
        let asked = Moment.now
        guard process.waitForEnd(atMost: limit) else { throw Failure(description: "it still runs after \(limit)") }
        let after = Moment.now - asked
        var status: CInt = 0
        waitpid(process.identity.processID, &status, 0)
        hasEnded = true
        return (status, after)
    }

    // MARK: What /proc knows of it

    /// A number in its `/proc/PID/status`; memory in KiB.
    func status(_ field: String) throws -> Int {
        try ProcessStatus.number(field, of: process.identity.processID)
    }
}
