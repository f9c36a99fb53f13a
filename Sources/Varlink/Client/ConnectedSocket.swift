import FreezeCore
import Glibc
import LinuxCalls
import SystemPackage

/// A socket that is connected to the one at the path.
///
/// Not left to NIO, whose sockets live on in whatever the process starts: the server would not see that the
/// client has gone.
func connectedSocket(
    to path: FilePath, until deadline: Moment
) async throws(VarlinkError) -> FileDescriptor {
    let socket: FileDescriptor
    do {
        socket = try makeSocket()
    } catch {
        throw .unreachable(path, error)
    }
    while true {
        let error: Errno?
        do throws(VarlinkError) {
            error = try path.withSocketAddress { Glibc.connect(socket.rawValue, $0, $1) }
        } catch {
            try? socket.close()
            throw error
        }
        guard let error else { return socket }
        // The server's queue is full, and a socket that does not block does not wait for room (connect(2)).
        guard error == .resourceTemporarilyUnavailable, Moment.now < deadline, !Task.isCancelled else {
            try? socket.close()
            throw .unreachable(path, error)
        }
        try? await Task.sleep(for: .milliseconds(20))
    }
}
