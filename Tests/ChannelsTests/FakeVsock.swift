import FreezeCore
import Glibc
import LinuxCalls
import Synchronization
import SystemPackage

@testable import Channels

/// A vsock with peers chosen by the test: each connection is a pair of local sockets.
final class FakeVsock: VsockAccepting {
    private enum Arrival {
        case connection(FileDescriptor, contextID: UInt32)
        case failure(Errno)
    }

    private let wakeUp: WakeUp
    private let arrivals = Mutex<[Arrival]>([])
    let isClosed = Monitor(false)

    init() throws {
        wakeUp = try WakeUp()
    }

    var descriptor: FileDescriptor { wakeUp.descriptor }

    func accept() throws(Errno) -> (connection: FileDescriptor, contextID: UInt32) {
        let arrival = arrivals.withLock { arrivals in
            if arrivals.count <= 1 { wakeUp.clear() }
            return arrivals.isEmpty ? nil : arrivals.removeFirst()
        }
        switch arrival {
        case .connection(let connection, let contextID)?: return (connection, contextID)
        case .failure(let error)?: throw error
        case nil: throw .resourceTemporarilyUnavailable
        }
    }

    func close() {
        isClosed.update { $0 = true }
    }

    /// A client on the machine with the context id.
    func connect(from contextID: UInt32) throws -> RawClient {
        var ends: [CInt] = [0, 0]
        let kind = CInt(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        guard socketpair(AF_UNIX, kind, 0, &ends) == 0 else { throw Errno(rawValue: errno) }
        _ = fcntl(ends[1], F_SETFL, O_NONBLOCK)
        arrive(.connection(FileDescriptor(rawValue: ends[1]), contextID: contextID))
        return RawClient(descriptor: FileDescriptor(rawValue: ends[0]))
    }

    /// The next call of accept(2) fails.
    func fail(_ error: Errno) {
        arrive(.failure(error))
    }

    private func arrive(_ arrival: Arrival) {
        arrivals.withLock { arrivals in
            arrivals.append(arrival)
            wakeUp.signal()
        }
    }
}
