import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import SystemPackage

/// One life of the freezer, so that news of an earlier one is not taken for news of this one.
struct FreezerLife: Hashable, Sendable {
    let number: Int
}

/// Starts the freezer, starts it again when it dies, and carries packets to and from it.
///
/// Used by the coordinator's thread only.
final class FreezerSupervisor {
    private let executable: FilePath
    private let mailbox: Mailbox
    private var life = FreezerLife(number: 0)
    private var socket: PacketSocket?
    private var restartDelay = FreezerSupervisor.shortestDelay
    private var startedAt = Moment.now
    /// Whether this life is known to be over.
    private var isOver = true
    private var request = FreezerRequestID.none
    /// The process, as long as it has not been reaped.
    private(set) var process: ProcessHandle?
    private var record: HeldProcessRecord?

    private static let shortestDelay = Duration.milliseconds(50)
    private static let longestDelay = Duration.seconds(2)

    init(executable: FilePath, mailbox: Mailbox) {
        self.executable = executable
        self.mailbox = mailbox
    }

    /// The connection to poll; nil while there is none.
    var descriptor: FileDescriptor? { socket?.descriptor }

    // MARK: Life

    /// Starts the freezer: at once the first time, later after a pause that grows as long as it keeps dying young.
    func start() {
        if life.number == 0 { return launch() }
        if Moment.now - startedAt > .seconds(60) { restartDelay = Self.shortestDelay }
        let delay = restartDelay
        restartDelay = min(restartDelay * 2, Self.longestDelay)
        mailbox.post(.freezerDue, after: delay)
    }

    /// Begins a new life, unless one is going on.
    func launch() {
        guard isOver else { return }
        isOver = false
        life = FreezerLife(number: life.number + 1)
        startedAt = Moment.now
        let ends: (PacketSocket, FileDescriptor)
        do throws(Errno) {
            ends = try PacketSocket.pair()
        } catch {
            mailbox.post(.freezerEnded(life, how: "its connection cannot be made: \(error)"))
            return
        }
        socket = ends.0
        spawn(life, connection: ends.1)
    }

    private func spawn(_ life: FreezerLife, connection: FileDescriptor) {
        let executable = executable
        let mailbox = mailbox
        do throws(Errno) {
            try OperatingSystemThread.start("freezer") {
                let how = Self.run(executable, connection) { process in
                    mailbox.post(.freezerStarted(life, processID: process))
                }
                mailbox.post(.freezerEnded(life, how: how))
            }
        } catch {
            try? connection.close()
            mailbox.post(.freezerEnded(life, how: "there is no thread to start it: \(error)"))
        }
    }

    /// Runs the freezer in a session of its own. It inherits standard error and nothing else: its standard input is the
    /// connection, its standard output leads nowhere. Blocks until it is gone and reaped: it is told of the end of this
    /// thread (``ParentDeath``).
    ///
    /// - Parameter connection: Closed as soon as the freezer has it, or never will.
    /// - Returns: How it ended.
    private static func run(
        _ executable: FilePath, _ connection: FileDescriptor, started: (Int32) -> Void
    ) -> String {
        let child: ChildProcess
        do {
            defer { try? connection.close() }
            let nowhere = try openDescriptor("/dev/null", .writeOnly)
            defer { try? nowhere.close() }
            let environment = StopPoint.environment.map { Array("\($0.key)=\($0.value)".utf8) }
            child = try ChildProcess.start(
                ChildProcess.Program(
                    executable, arguments: [executable.string], environment: environment, hasOwnSession: true),
                descriptors: [connection, nowhere, .standardError])
        } catch {
            return "\(executable) cannot be started: \(error)"
        }
        started(child.processID)
        return child.waitForEnd().map { "\($0)" } ?? "its end is not known"
    }

    func started(_ life: FreezerLife, processID: Int32) {
        guard life == self.life else { return }
        process = ProcessIdentity(of: processID).flatMap { ProcessHandle($0) }
        record = process.flatMap { try? HeldProcessRecord(of: $0.identity) }
        // One that could not be killed must not be given filesystems: it ends when its connection does.
        if process == nil { disconnect() }
    }

    /// Whether this life, or the present one, is not known to be over.
    func isPresent(_ life: FreezerLife?) -> Bool { life ?? self.life == self.life && !isOver }

    /// This life is over: its process or its connection has ended.
    func ended() {
        disconnect()
        isOver = true
        process = nil
        record = nil
    }

    /// Whether it was killed, but cannot end: with a FIFREEZE that hangs in the kernel its connection stays open.
    var isDying: Bool { record?.isDying ?? false }

    /// Closes our end: a freezer that lives thaws what it holds and ends.
    func disconnect() {
        socket = nil
    }

    /// Ends it for good. It is heard of no more, until its end is.
    func kill() {
        try? process?.send(signal: SIGKILL)
        disconnect()
    }

    // MARK: Packets

    /// That it is ready, what it has reported of the present request, and whether the connection still stands.
    func receiveAll() -> (news: [FreezerNews], isConnected: Bool) {
        var reports: [FreezerNews] = []
        while let socket {
            do throws(Errno) {
                guard let (packet, descriptors) = try socket.receive() else { return (reports, false) }
                for descriptor in descriptors { try? descriptor.close() }
                guard let report = FreezerReport(packet: packet) else { continue }
                if report.news == .ready || report.request == request { reports.append(report.news) }
            } catch .wouldBlock {
                return (reports, true)
            } catch {
                return (reports, false)
            }
        }
        return (reports, false)
    }

    /// Gives it a request: the ledger, then the descriptors in the ledger's order, as many a packet as the kernel takes.
    func prepare(ledger: FileDescriptor, descriptors: [FileDescriptor]) throws(Errno) {
        request = FreezerRequestID(number: request.number + 1)
        try send(.prepare(request, superblockCount: descriptors.count), descriptors: [ledger])
        var first = 0
        while first < descriptors.count {
            let some = descriptors[first..<min(first + PacketSocket.maximumDescriptors, descriptors.count)]
            try send(.descriptors(firstIndex: first), descriptors: Array(some))
            first += some.count
        }
    }

    /// Sends a command.
    ///
    /// - Throws: EPIPE if it is dead, EAGAIN if it stands still and its connection is full.
    func send(_ command: FreezerCommand, descriptors: [FileDescriptor] = []) throws(Errno) {
        guard let socket else { throw .brokenPipe }
        try socket.send(command.packet, descriptors: descriptors)
    }
}
