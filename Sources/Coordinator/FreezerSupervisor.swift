import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import SystemPackage

/// The number of a freezer process: reports of an earlier process are dropped.
struct FreezerLife: Hashable, Sendable {
    let number: Int
}

/// Starts the freezer, restarts the freezer after its end, and exchanges packets with it.
///
/// For the coordinator's thread only.
final class FreezerSupervisor {
    private let executable: FilePath
    private let mailbox: Mailbox
    private var life = FreezerLife(number: 0)
    private var socket: PacketSocket?
    private var pause = FreezerSupervisor.shortestPause
    private var startedAt = Moment.now
    /// Whether the end of the process is known.
    private var isOver = true
    private var request = FreezerRequestID.none
    /// The process, until reaped.
    private(set) var process: ProcessHandle?
    private var record: HeldProcessRecord?

    private static let shortestPause = Duration.milliseconds(50)
    private static let longestPause = Duration.seconds(2)

    init(executable: FilePath, mailbox: Mailbox) {
        self.executable = executable
        self.mailbox = mailbox
    }

    /// The connection to poll; nil without a freezer.
    var descriptor: FileDescriptor? { socket?.descriptor }

    // MARK: Life

    /// The pause before the next process, which grows with each early exit.
    func nextPause() -> Duration {
        if Moment.now - startedAt > .seconds(60) { pause = Self.shortestPause }
        defer { pause = min(pause * 2, Self.longestPause) }
        return pause
    }

    /// Starts a process, unless one runs.
    func start() {
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

    /// Runs the freezer in a new session. The freezer inherits standard error only: standard input is the connection,
    /// standard output is /dev/null. Blocks until the freezer is reaped, since the end of the calling thread signals the
    /// freezer (``ParentDeath``).
    ///
    /// - Parameter connection: Closed once the freezer has started or failed to start.
    /// - Returns: The end of the process, in words.
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
        // A freezer that could not be killed must get no filesystems: it exits when its connection closes.
        if process == nil { disconnect() }
    }

    /// Whether the process, by default the present one, has not ended as far as known.
    func isPresent(_ life: FreezerLife?) -> Bool { life ?? self.life == self.life && !isOver }

    /// The process or its connection has ended.
    func ended() {
        disconnect()
        isOver = true
        process = nil
        record = nil
    }

    /// Whether the freezer was killed and cannot exit: while a FIFREEZE hangs in the kernel, the connection stays open.
    var isDying: Bool { record?.isDying ?? false }

    /// Closes the connection: a running freezer thaws its filesystems and exits.
    func disconnect() {
        socket = nil
    }

    /// Kills the freezer. Its reports are dropped, but for its end.
    func kill() {
        try? process?.send(signal: SIGKILL)
        disconnect()
    }

    // MARK: Packets

    /// The reports about the present request, and whether the connection is open.
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

    /// Hands over a request: the ledger, then the descriptors in the order of the ledger, in packets of up to 253.
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
    /// - Throws: EPIPE if the freezer is dead, EAGAIN if the freezer is stopped and the connection full.
    func send(_ command: FreezerCommand, descriptors: [FileDescriptor] = []) throws(Errno) {
        guard let socket else { throw .brokenPipe }
        try socket.send(command.packet, descriptors: descriptors)
    }
}
