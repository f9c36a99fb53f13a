import FreezeCore
import FreezerProtocol
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

/// The freezer's main thread: takes commands from the daemon, keeps the deadline, and thaws when the daemon is gone.
public final class FreezerService {
    private let socket: PacketSocket
    private let daemonDeath: WakeUp
    private let timer: BootTimer
    private let outbox: Outbox
    private let me = ProcessIdentity.current
    private var request: FreezerRequest?
    private var isDaemonGone = false

    /// - Parameters:
    ///   - socket: The connection to the daemon; taken over.
    ///   - daemonDeath: Readable once the daemon was killed. The connection of a daemon with a thread that hangs in the
    ///     kernel stays open.
    public init(socket descriptor: FileDescriptor, daemonDeath: WakeUp) throws(Errno) {
        socket = PacketSocket(owning: descriptor)
        self.daemonDeath = daemonDeath
        timer = try BootTimer()
        outbox = try Outbox()
    }

    /// Serves until the daemon is dead or has closed the connection, and nothing is frozen by the freezer.
    public func run() {
        outbox.add(FreezerReport(.none, .ready))
        while true {
            request?.advance(now: Moment.now)
            flushOutbox()
            if isDaemonGone && request?.isSettled ?? true { return }
            waitForWork()
        }
    }

    private func waitForWork() {
        // Nothing is armed while idle: no wake-ups.
        try? timer.arm(at: request?.nextDeadline)
        let commands: PollEvents = outbox.isEmpty ? .readable : [.readable, .writable]
        let interests: InlineArray<4, (descriptor: FileDescriptor?, events: PollEvents)> = [
            (timer.descriptor, .readable), (outbox.wakeUp.descriptor, .readable),
            (isDaemonGone ? nil : socket.descriptor, commands),
            (isDaemonGone ? nil : daemonDeath.descriptor, .readable),
        ]
        let ready = pollDescriptors(interests, until: nil)
        outbox.wakeUp.clear()
        if !ready[3].isEmpty { return daemonIsGone() }
        if !ready[2].subtracting(.writable).isEmpty { receiveAll() }
    }

    // MARK: Commands

    private func receiveAll() {
        while true {
            do throws(Errno) {
                guard let (packet, descriptors) = try socket.receive() else { return daemonIsGone() }
                guard let command = FreezerCommand(packet: packet) else {
                    for descriptor in descriptors { try? descriptor.close() }
                    continue
                }
                obey(command, descriptors)
            } catch .wouldBlock {
                return
            } catch .messageTooLong {
                // The descriptors did not fit into our table.
                report(.prepareFailed(.tooManyOpenFiles))
            } catch {
                return daemonIsGone()
            }
        }
    }

    private func daemonIsGone() {
        isDaemonGone = true
        request?.abandonDescriptors()
        request?.beginThaw()
    }

    private func obey(_ command: FreezerCommand, _ descriptors: [FileDescriptor]) {
        switch command {
        case .prepare(let id, let count):
            prepare(id, superblockCount: count, descriptors)
        case .descriptors(let first):
            receive(descriptors, from: first)
        case .freeze(let step, let freezeDeadline, let windowDeadline):
            request?.freeze(step: step, freezeDeadline: freezeDeadline, windowDeadline: windowDeadline)
        case .thaw:
            request?.beginThaw()
        case .release:
            release()
        }
    }

    private func prepare(_ id: FreezerRequestID, superblockCount: Int, _ descriptors: [FileDescriptor]) {
        defer { for descriptor in descriptors { try? descriptor.close() } }
        guard request == nil, descriptors.count == 1,
            let ledger = try? Ledger(mapping: descriptors[0], path: "the daemon's ledger")
        else {
            return outbox.add(FreezerReport(id, .prepareFailed(.invalidArgument)))
        }
        let outbox = outbox
        request = FreezerRequest(
            id, ledger: ledger, superblockCount: superblockCount, me: me,
            report: { outbox.add(FreezerReport(id, $0)) })
        if superblockCount == 0 { report(.prepared) }
    }

    private func receive(_ descriptors: [FileDescriptor], from first: Int) {
        do throws(Errno) {
            guard request != nil else {
                for descriptor in descriptors { try? descriptor.close() }
                throw .invalidArgument
            }
            try request?.receive(descriptors, from: first)
        } catch {
            request?.abandonDescriptors()
            report(.prepareFailed(error))
        }
    }

    private func release() {
        request?.abandonDescriptors()
        request?.beginThaw()
        request?.advance(now: Moment.now)
        if request?.isSettled ?? true {
            endRequest()
        } else {
            isReleaseWanted = true
        }
    }

    private var isReleaseWanted = false

    private func endRequest() {
        report(.released)
        request = nil
    }

    // MARK: Reports

    private func report(_ news: FreezerNews) {
        outbox.add(FreezerReport(request?.id ?? .none, news))
    }

    private func flushOutbox() {
        if isReleaseWanted, request?.isSettled ?? true {
            isReleaseWanted = false
            endRequest()
        }
        guard !isDaemonGone else { return }
        while let report = outbox.first {
            do throws(Errno) {
                try socket.send(report.packet)
                outbox.removeFirst()
            } catch .wouldBlock {
                return
            } catch {
                return daemonIsGone()
            }
        }
    }
}

/// Reports of all threads on their way to the daemon. The threads never touch the socket: one that is full, because
/// the daemon stands still, must not hold up a thaw.
private final class Outbox: Sendable {
    let wakeUp: WakeUp
    private let reports = Mutex<[FreezerReport]>([])

    init() throws(Errno) {
        wakeUp = try WakeUp()
        reports.withLock { $0.reserveCapacity(1024) }
    }

    func add(_ report: FreezerReport) {
        reports.withLock { $0.append(report) }
        wakeUp.signal()
    }

    var first: FreezerReport? { reports.withLock(\.first) }
    var isEmpty: Bool { reports.withLock(\.isEmpty) }

    func removeFirst() {
        reports.withLock { _ = $0.removeFirst() }
    }
}
